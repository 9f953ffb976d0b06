/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/continuous/cut.h - one window as a profile of its own, cut out of what a recording has counted since it began.
 *
 * A recording tells all that it has so far (a part); a window is the difference of two parts that follow each other, and so every
 * sample is in exactly one window, whenever the parts were asked for. What is a state (memory in use) is that of the window's end.
 *
 * Cutting is the work of a process of its own (base/work.h); the bytes in between are a struct cprof_cut_head and the file.
 */
#ifndef CPROF_ATTACH_CONTINUOUS_CUT_H
#define CPROF_ATTACH_CONTINUOUS_CUT_H

#include <stdint.h>

#include "attach/serve/profile_form.h"
#include "cprof/buffer.h"
#include "cprof/error.h"

struct cprof_cut {
	uint64_t from_wall_ns, until_wall_ns;
	char build_id[96];   /* of the program, in hexadecimal digits; "": it has none */
	const uint8_t *file; /* gzip pprof; in the bytes that it was read from */
	size_t n_file;       /* 0: nothing happened in it */
};

/*
 * Append the window between two parts; `first` NULL: from the beginning of the recording on. Errors: BAD_DATA, NO_MEMORY.
 */
struct cprof_error *cprof_cut_make(const struct cprof_profile_form *form,
				   const struct cprof_buffer *first,
				   const struct cprof_buffer *last, struct cprof_buffer *out);

/* The same of a profile that is a window by itself, such as a snapshot of threads, as a file. */
struct cprof_error *cprof_cut_whole(const struct cprof_buffer *file, struct cprof_buffer *out);

/* Read it back. False: it is not whole. */
bool cprof_cut_read(const struct cprof_buffer *bytes, struct cprof_cut *ret_cut);

#endif
