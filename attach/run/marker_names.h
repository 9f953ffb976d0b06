/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/marker_names.h - names of frames that are no code: "[epoll_wait]", where a thread that waits is; "48 bytes".
 *
 * A marker is a frame in no mapping at an address where no processor has code (stack_walker.h has those that every run
 * knows, at the lowest ones). Each distinct name is kept once; who gives names out of a process's memory bounds their number.
 */
#ifndef CPROF_ATTACH_RUN_MARKER_NAMES_H
#define CPROF_ATTACH_RUN_MARKER_NAMES_H

#include "cprof/intern.h"
#include "cprof/stack_table.h"

#define CPROF_MARKER_NAMES_AT (1ull << 62) /* the address of the first one */

struct cprof_marker_names {
	struct cprof_intern texts;
};

/* A zeroed struct has none. */
void cprof_marker_names_deinit(struct cprof_marker_names *markers);

/* The frame called `name`, which is copied when it is new. Where there is no memory for one more: "[truncated]". */
struct cprof_stack_frame cprof_marker_names_frame(struct cprof_marker_names *markers,
						  const char *name);

/* The name of a frame; NULL: it is none of these. */
const char *cprof_marker_names_find(const struct cprof_marker_names *markers,
				    const struct cprof_stack_frame *frame);

#endif
