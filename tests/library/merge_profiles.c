/* SPDX-License-Identifier: Apache-2.0 */
/* Somebody else's program: merge_profiles TO FROM... adds profiles up. */
#include <cprof/merge.h>
#include <cprof/pprof_read.h>
#include <cprof/pprof_write.h>

#include <stdio.h>
#include <stdlib.h>

static struct cprof_error *read_profile(const char *path, struct cprof_profile **ret_profile)
{
	FILE *file = fopen(path, "rb");
	uint8_t *bytes = malloc(1 << 20);
	size_t n = file && bytes ? fread(bytes, 1, 1 << 20, file) : 0;
	struct cprof_error *err = cprof_pprof_decode(bytes, n, ret_profile);
	free(bytes);
	if (file)
		fclose(file);
	return err;
}

static struct cprof_error *write_profile(const char *path, const struct cprof_profile *profile)
{
	struct cprof_buffer bytes = { 0 };
	struct cprof_error *err = cprof_pprof_encode(profile, CPROF_PPROF_GZIP_FAST, &bytes);
	FILE *file = err ? NULL : fopen(path, "wb");
	if (file) {
		fwrite(bytes.data, 1, bytes.len, file);
		fclose(file);
	}
	cprof_buffer_deinit(&bytes);
	return err;
}

int main(int argc, char **argv)
{
	struct cprof_profile *profiles[8] = { NULL }, *merged = NULL;
	struct cprof_error *err = NULL;
	size_t n = argc > 2 ? (size_t)argc - 2 : 0;
	if (n < 1 || n > 8)
		return 2;
	for (size_t i = 0; !err && i < n; i++)
		err = read_profile(argv[i + 2], &profiles[i]);
	if (!err)
		err = cprof_merge(profiles, n, &merged);
	if (!err)
		err = write_profile(argv[1], merged);
	if (err)
		fprintf(stderr, "%s\n", err->message);
	for (size_t i = 0; i < n; i++)
		cprof_profile_free(profiles[i]);
	cprof_profile_free(merged);
	cprof_error_free(err);
	return err != NULL;
}
