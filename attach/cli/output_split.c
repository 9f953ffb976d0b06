/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/output_split.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/new_file.h"
#include "cprof/hash.h"
#include "cprof/merge.h"
#include "cprof/pprof_write.h"

#define LABEL "pid"

bool cprof_output_split_wanted(const char *name)
{
	return name && strstr(name, CPROF_OUTPUT_SPLIT_MARK);
}

char *cprof_output_split_name(const char *pattern, pid_t pid)
{
	CPROF_AUTO(buffer) struct cprof_buffer name = { 0 };
	for (const char *mark; (mark = strstr(pattern, CPROF_OUTPUT_SPLIT_MARK));
	     pattern = mark + strlen(CPROF_OUTPUT_SPLIT_MARK))
		cprof_buffer_printf(&name, "%.*s%d", (int)(mark - pattern), pattern, (int)pid);
	cprof_buffer_puts(&name, pattern);
	return strdup(cprof_buffer_text(&name));
}

/* Whose a sample is; 0: nobody's. */
static pid_t pid_of(const struct cprof_profile *profile, const struct cprof_sample *sample)
{
	for (uint32_t i = 0; i < sample->n_labels; i++) {
		const struct cprof_label *label = &profile->labels[sample->first_label + i];
		if (label->is_num && strcmp(cprof_profile_text(profile, label->key), LABEL) == 0)
			return (pid_t)label->num;
	}
	return 0;
}

/* The part that is `pid`'s; of the first also what is nobody's. */
static struct cprof_error *part_of(const struct cprof_profile *profile, pid_t pid, bool is_first,
				   struct cprof_profile **ret_part)
{
	CPROF_AUTO(free) bool *keep = calloc((size_t)profile->n_samples + 1, sizeof(*keep));
	struct cprof_profile *part = NULL;
	struct cprof_error *err =
		keep ? cprof_profile_copy(profile, &part) : cprof_error_no_memory();
	if (err)
		return err;
	for (uint32_t i = 0; i < profile->n_samples; i++) {
		const pid_t owner = pid_of(profile, &profile->samples[i]);
		keep[i] = owner == pid || (is_first && !owner);
	}
	cprof_profile_keep_samples(part, keep);
	return cprof_merge(&part, 1, ret_part);
}

static struct cprof_error *write_part(const struct cprof_profile *profile, const char *pattern,
				      pid_t pid, bool force, struct cprof_buffer *said)
{
	CPROF_AUTO(profile) struct cprof_profile *part = NULL;
	CPROF_AUTO(free) char *path = cprof_output_split_name(pattern, pid);
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	struct cprof_new_file file;
	struct cprof_error *err =
		path ? part_of(profile, pid, false, &part) : cprof_error_no_memory();
	if (!err)
		err = cprof_pprof_encode(part, CPROF_PPROF_GZIP_FAST, &bytes);
	if (!err)
		err = cprof_new_file_plan(
			path, force ? CPROF_NEW_FILE_REPLACE : CPROF_NEW_FILE_REFUSE, &file);
	if (err)
		return err;
	err = cprof_new_file_write(&file, bytes.data, bytes.len, NULL);
	cprof_new_file_deinit(&file);
	if (!err)
		cprof_buffer_printf(said, "wrote %s (%zu bytes)\n", path, bytes.len);
	return err;
}

struct cprof_error *cprof_output_split_write(const struct cprof_profile *profile,
					     const char *pattern, pid_t first, bool force,
					     struct cprof_profile **ret_first,
					     struct cprof_buffer *said)
{
	struct cprof_map64 done = { 0 };
	struct cprof_error *err = part_of(profile, first, true, ret_first);
	for (uint32_t i = 0; i < profile->n_samples && !err; i++) {
		const pid_t pid = pid_of(profile, &profile->samples[i]);
		bool is_new = false;
		if (pid && pid != first && !cprof_map64_put(&done, (uint64_t)pid, &is_new))
			err = cprof_error_no_memory();
		if (!err && is_new)
			err = write_part(profile, pattern, pid, force, said);
	}
	cprof_map64_deinit(&done);
	return err;
}
