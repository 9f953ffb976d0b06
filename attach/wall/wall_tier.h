/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/wall/wall_tier.h - ways to see all of a thread's time: which account, which waits, with or without CPU samples.
 *
 * One table, the best first; docs/wall.md says what each sees and how exact it is.
 */
#ifndef CPROF_ATTACH_WALL_WALL_TIER_H
#define CPROF_ATTACH_WALL_WALL_TIER_H

#include <stdbool.h>
#include <stddef.h>

#include "attach/wall/ledger_source.h"
#include "cprof/error.h"

struct cprof_wall_tier {
	const char *name;    /* -wall-method NAME, and in the profile's comments */
	const char *exactly; /* one line on how exact its numbers are */
	const struct cprof_ledger_source *ledger;
	const char *waits; /* a tier of wait_tier.h */
	bool samples;      /* of CPU time */
	bool looks;        /* waits are seen by looking: who stands still must be told apart */
};

extern const struct cprof_wall_tier cprof_wall_tiers[];
extern const size_t cprof_wall_n_tiers;

/* The tier called `name`; NULL for "auto". Errors: USAGE. */
struct cprof_error *cprof_wall_tier_find(const char *name, const struct cprof_wall_tier **ret_tier);

#endif
