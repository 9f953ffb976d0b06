/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/names_ahead.h - addresses of a recording named by a child while it goes on, once for all of its snapshots.
 *
 * A recording never names anything itself: copies of it do (snapshots.h), and what these learn is lost with them. So that not each of them
 * opens the same debug information, a child at low priority looks up what is new (base/prefetch.h), and the recording takes
 * its answers over: the copies that are made then have them. Answers are kept by module: memory is bounded by distinct addresses, and by
 * CPROF_NAMES_AHEAD_MAX bytes from one child.
 */
#ifndef CPROF_ATTACH_RUN_NAMES_AHEAD_H
#define CPROF_ATTACH_RUN_NAMES_AHEAD_H

#include "attach/run/mapping_numbers.h"
#include "base/prefetch.h"

#define CPROF_NAMES_AHEAD_MAX (16u << 20)

/* Zeroed: nothing is looked up. Of all sessions that share modules. */
struct cprof_names_ahead {
	struct cprof_prefetch_piece
		*piece; /* owned; what the child makes or has made; NULL: nothing */
	const struct cprof_mapping_numbers
		*numbers; /* borrowed until the child is started, as all of: */
	const char *cache_dir;
	uint32_t from, until; /* of numbers' frames */
};

/* How far one session has come. */
struct cprof_names_ahead_turn {
	uint32_t n_named; /* frames of the stack table */
	uint64_t due_mono_ns, wait_ns;
};

/*
 * Have the frames that are new looked up, where it is time again: that is after twice as long each time, as a child begins with opening
 * files. The caller starts the child. `cache_dir` may be NULL; new answers are written there, too.
 */
void cprof_names_ahead_add(struct cprof_names_ahead *ahead, struct cprof_names_ahead_turn *turn,
			   struct cprof_prefetch *prefetch,
			   const struct cprof_mapping_numbers *numbers, const char *cache_dir);

/* Take over what a child has made, if one has. Not while names are borrowed from `modules`. */
void cprof_names_ahead_take(struct cprof_names_ahead *ahead, struct cprof_modules *modules);

void cprof_names_ahead_deinit(struct cprof_names_ahead *ahead);

#endif
