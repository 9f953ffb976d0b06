/* SPDX-License-Identifier: Apache-2.0 */
/* Somebody else's program: builds a profile of two stacks and writes it to the file it is given. */
#include <cprof/builder.h>
#include <cprof/pprof_write.h>

#include <stdio.h>

static struct cprof_error *name_frame(void *ctx, const struct cprof_stack_frame *frame,
				      const struct cprof_builder_line **ret_lines, size_t *ret_n)
{
	static const struct cprof_builder_line leaf = { .name = "leaf",
							.filename = "a.c",
							.line = 7 };
	static const struct cprof_builder_line root = { .name = "root",
							.filename = "a.c",
							.line = 20 };
	(void)ctx;
	*ret_lines = frame->addr < 0x2000 ? &leaf : &root;
	*ret_n = 1;
	return NULL;
}

static struct cprof_error *fill(struct cprof_builder *builder)
{
	const struct cprof_builder_mapping program = { .start = 0x1000,
						       .limit = 0x9000,
						       .filename = "/bin/other" };
	const struct cprof_builder_label label = { .key = "who", .str = "stranger" };
	const struct cprof_stack_frame deep[] = { { 0x1004, 1 }, { 0x2008, 1 } };
	const int64_t three = 3, one = 1;
	uint32_t number, labels;
	struct cprof_error *err = cprof_builder_mapping(builder, &program, &number);
	if (!err)
		err = cprof_builder_labels(builder, &label, 1, &labels);
	if (!err)
		err = cprof_builder_add(builder, deep, 2, labels, &three);
	return err ? err : cprof_builder_add(builder, deep + 1, 1, labels, &one);
}

static struct cprof_error *write_to(const char *path, const struct cprof_profile *profile)
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
	const struct cprof_builder_type type = { "visits", "count" };
	struct cprof_builder *builder = NULL;
	struct cprof_profile *profile = NULL;
	if (argc != 2)
		return 2;
	struct cprof_error *err = cprof_builder_new(&type, 1, &builder);
	if (!err)
		err = fill(builder);
	if (!err)
		err = cprof_builder_finish(builder, name_frame, NULL, &profile);
	if (!err)
		err = write_to(argv[1], profile);
	if (err)
		fprintf(stderr, "%s\n", err->message);
	cprof_profile_free(profile);
	cprof_builder_free(builder);
	return err != NULL;
}
