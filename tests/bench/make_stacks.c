/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/bench/make_stacks.c - write a profile with N distinct stacks of about 30 frames, for bench/cprof.py.
 *
 * usage: make_stacks N FILE [SEED]. The same arguments give the same file. Stacks share their callers as
 * those of a program do: 5,000 functions of four call sites each.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cprof/builder.h"
#include "cprof/pprof_write.h"

#define N_FUNCTIONS 5000
#define N_SITES     4

static uint64_t state;

static uint64_t next(void) /* xorshift64* */
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 2685821657736338717ull;
}

static struct cprof_error *name(void *ctx, const struct cprof_stack_frame *frame,
				const struct cprof_builder_line **ret_lines, size_t *ret_n)
{
	static char text[64], file[64];
	static struct cprof_builder_line line;
	uint64_t function = (frame->addr - 0x1000) / 64;
	(void)ctx;
	snprintf(text, sizeof(text), "namespace_%" PRIu64 "::function_%" PRIu64, function % 40,
		 function);
	snprintf(file, sizeof(file), "/src/module_%" PRIu64 "/file.cc", function % 200);
	line = (struct cprof_builder_line){ .name = text,
					    .filename = file,
					    .line = (int64_t)(frame->addr % 64) + 10,
					    .start_line = 10 };
	*ret_lines = &line;
	*ret_n = 1;
	return NULL;
}

/* A new stack keeps a random number of the previous one's outer frames, and calls on from there. */
static size_t change(struct cprof_stack_frame *frames, size_t n)
{
	size_t depth = 24 + next() % 13, kept = n ? next() % n : 0;
	struct cprof_stack_frame old[64];
	for (size_t i = 0; i < kept; i++)
		old[i] = frames[n - 1 - i]; /* root first */
	for (size_t i = 0; i < depth; i++) {
		uint64_t function = i == 0 ? 0 : next() % N_FUNCTIONS;
		uint64_t addr = 0x1000 + function * 64 + next() % N_SITES * 16;
		frames[depth - 1 - i] =
			i < kept ? old[i]
				 : (struct cprof_stack_frame){ .addr = addr, .mapping = 1 };
	}
	return depth;
}

static struct cprof_error *make(size_t n, struct cprof_builder *builder)
{
	uint32_t mapping;
	struct cprof_stack_frame frames[64];
	struct cprof_error *err = cprof_builder_mapping(
		builder,
		&(struct cprof_builder_mapping){ 0x1000, 0x1000000, 0, "/usr/bin/program", "abcd" },
		&mapping);
	size_t depth = 0;
	while (!err && cprof_builder_stacks(builder)->n_stacks < n) {
		int64_t count = (int64_t)(next() % 5) + 1;
		depth = change(frames, depth);
		err = cprof_builder_add(builder, frames, depth, 0,
					(int64_t[]){ count, count * 10000000 });
	}
	return err;
}

int main(int argc, char **argv)
{
	static const struct cprof_builder_type types[] = { { "samples", "count" },
							   { "cpu", "nanoseconds" } };
	if (argc < 3) {
		fprintf(stderr, "usage: make_stacks N FILE [SEED]\n");
		return 2;
	}
	state = argc > 3 ? strtoull(argv[3], NULL, 10) + 1 : 42;
	struct cprof_builder *builder;
	struct cprof_profile *profile = NULL;
	struct cprof_buffer bytes = { 0 };
	struct cprof_error *err = cprof_builder_new(types, 2, &builder);
	if (!err)
		err = make(strtoull(argv[1], NULL, 10), builder);
	if (!err)
		err = cprof_builder_finish(builder, name, NULL, &profile);
	if (!err)
		err = cprof_profile_set_period(profile, "cpu", "nanoseconds", 10000000);
	if (!err)
		err = cprof_pprof_encode(profile, 6, &bytes);
	FILE *file = err ? NULL : fopen(argv[2], "we");
	if (err || !file || fwrite(bytes.data, 1, bytes.len, file) != bytes.len ||
	    fclose(file) != 0) {
		fprintf(stderr, "make_stacks: %s\n", err ? err->message : "cannot write the file");
		return 1;
	}
	return 0;
}
