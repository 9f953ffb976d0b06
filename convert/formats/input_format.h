/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/formats/input_format.h - bytes of unknown kind to a profile: which formats are understood, and in what order.
 *
 * pprof's own format is tried first. Each other one is a const struct below and a row in input_format.c: the original
 * tool's text and binary formats, perf script text, folded stacks. It looks at the bytes and says "not mine" (no error and
 * no profile), or takes them; from then on what is wrong with them is an error.
 */
#ifndef CPROF_CONVERT_FORMATS_INPUT_FORMAT_H
#define CPROF_CONVERT_FORMATS_INPUT_FORMAT_H

#include "cprof/error.h"
#include "cprof/profile.h"

struct cprof_input_format {
	const char *name; /* for messages: "legacy heap profile" */
	/* `*ret_profile` stays NULL where the bytes are of another format. `bytes` ends with a zero byte. */
	struct cprof_error *(*read)(const char *bytes, size_t n,
				    struct cprof_profile **ret_profile);
};

/*
 * The profile in a file's bytes, compressed or not; behind them stands a zero byte that is not counted. `ret_notes`, where it is not
 * NULL, is how many comments the profile has where it is not pprof's own format: they are about the reading: lines that were left out, values that were chosen.
 * They are for whoever asked for the file. Errors: CPROF_ERR_BAD_DATA with offset and reason, of the format that the bytes are
 * most likely in.
 */
struct cprof_error *cprof_input_read(const uint8_t *bytes, size_t n, uint32_t *ret_notes,
				     struct cprof_profile **ret_profile);

/* The same for who does not ask for notes. */
static inline struct cprof_error *cprof_input_decode(const uint8_t *bytes, size_t n,
						     struct cprof_profile **ret_profile)
{
	return cprof_input_read(bytes, n, NULL, ret_profile);
}

extern const struct cprof_input_format cprof_input_cpu, cprof_input_heap, cprof_input_count,
	cprof_input_thread, cprof_input_contention, cprof_input_java, cprof_input_perf_script,
	cprof_input_folded, cprof_input_jemalloc;

#endif
