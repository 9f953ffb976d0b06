/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/wall/wall_idle.h - idle threads by the place where they wait: a pool of 500 is one place.
 */
#ifndef CPROF_ATTACH_WALL_WALL_IDLE_H
#define CPROF_ATTACH_WALL_WALL_IDLE_H

#include <stddef.h>
#include <stdint.h>

#include "attach/target/target.h"
#include "attach/wall/wall_parts.h"
#include "cprof/error.h"
#include "cprof/hash.h"

struct cprof_wall_idle_place {
	uint32_t stack, reason;    /* of the first thread there */
	char name[CPROF_COMM_MAX]; /* that all of them bear; "": they have several */
	uint64_t threads, ns;
};

struct cprof_wall_idle {
	struct cprof_wall_idle_place *places; /* owned */
	size_t n, cap;
	struct cprof_map64 by_stack;
};

/* A zeroed struct is empty. */
void cprof_wall_idle_deinit(struct cprof_wall_idle *idle);

/* A thread called `name` has waited in `part` for `ns`. Errors: NO_MEMORY. */
struct cprof_error *cprof_wall_idle_add(struct cprof_wall_idle *idle,
					const struct cprof_wall_part *part, const char *name,
					uint64_t ns);

#endif
