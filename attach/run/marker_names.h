/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/marker_names.h - names of frames that are no code: "[epoll_wait]", where a thread that waits is.
 *
 * A marker is a frame in no mapping with a small number for its address (stack_walker.h has those that every run knows). Bounded:
 * who gives names takes them from tables.
 */
#ifndef CPROF_ATTACH_RUN_MARKER_NAMES_H
#define CPROF_ATTACH_RUN_MARKER_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "cprof/stack_table.h"

#define CPROF_MARKER_NAMES_MAX 256

struct cprof_marker_names {
	char *names[CPROF_MARKER_NAMES_MAX]; /* owned; [address - CPROF_N_MARKERS] */
	size_t n;
};

/* A zeroed struct has none. */
void cprof_marker_names_deinit(struct cprof_marker_names *markers);

/* The frame called `name`, which is copied when it is new. Once there is no room or no memory for one more: "[truncated]". */
struct cprof_stack_frame cprof_marker_names_frame(struct cprof_marker_names *markers,
						  const char *name);

/* The name of a frame; NULL: it is none of these. */
const char *cprof_marker_names_find(const struct cprof_marker_names *markers,
				    const struct cprof_stack_frame *frame);

#endif
