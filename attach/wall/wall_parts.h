/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/wall/wall_parts.h - what was seen of each thread, stack by stack: weights that say how the time of its account
 * (ledger.h) divides.
 *
 * CPU samples come in while the window lasts, waits at its end. Memory is bounded: once there are
 * CPROF_WALL_PARTS_MAX rows new ones are dropped and counted, which coarsens the division and leaves the sums.
 */
#ifndef CPROF_ATTACH_WALL_WALL_PARTS_H
#define CPROF_ATTACH_WALL_WALL_PARTS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cprof/error.h"
#include "cprof/hash.h"

#define CPROF_WALL_PARTS_MAX 524288

enum cprof_wall_class {
	CPROF_WALL_ON_CPU,
	CPROF_WALL_WOKEN,
	CPROF_WALL_BLOCKED,
};

struct cprof_wall_part {
	pid_t tid;
	enum cprof_wall_class what;
	uint32_t stack;   /* the session's number */
	uint32_t reason;  /* index in the reasons of wall_rows.c; 0: none */
	uint32_t request; /* its labels, a number of attach/context/contexts.h; 0: none */
	double weight;    /* samples, or nanoseconds */
	double count;     /* samples, or waits */
};

struct cprof_wall_parts {
	struct cprof_wall_part *parts; /* owned */
	size_t n, cap;
	struct cprof_map64 by_hash;
	uint64_t dropped;
};

/* A zeroed struct is empty. */
void cprof_wall_parts_deinit(struct cprof_wall_parts *parts);

/* Add the weight and count of `part` to the row that is like it: *ret_at, or SIZE_MAX if it was dropped. Errors: NO_MEMORY. */
struct cprof_error *cprof_wall_parts_add(struct cprof_wall_parts *parts,
					 const struct cprof_wall_part *part, size_t *ret_at);

#endif
