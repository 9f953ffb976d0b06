/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/waits/wait_tier.h - a way to see waits: one const struct each, in wait_tier_bpf.c, wait_tier_perf.c and
 * wait_tier_proc.c.
 *
 * A tier finds waits and hands those it keeps to the intake (wait_intake.h). Which one a run takes is wait_run.c's: there
 * they are listed, the best first. docs/block.md says what each tier sees and how exact it is.
 */
#ifndef CPROF_ATTACH_WAITS_WAIT_TIER_H
#define CPROF_ATTACH_WAITS_WAIT_TIER_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/waits/wait_intake.h"
#include "cprof/error.h"

/* More files to wait for than this are not asked for. */
#define CPROF_WAIT_TIER_FDS_MAX 1024

struct cprof_wait_tier {
	const char *name; /* -block-method NAME, and in the profile's comments */
	const char
		*exactly; /* one line on what its numbers mean, for the summary and the comments */
	bool tells_releases, tells_all;
	bool tells_wakes;  /* who ended a wait, where a futex call of the target did */
	bool thins;        /* keeps waits by Go's law at intake->rate_ns; else every one */
	uint64_t drain_ns; /* how often drain() wants to be called at least */
	uint64_t (*pause_ns)(
		const void *state); /* instead of drain_ns, where that changes; may be NULL */

	/*
	 * Put the events in place; from then on waits are seen. Errors decide whether the next tier is tried:
	 * DENIED, UNSUPPORTED and OS do, others end the run.
	 */
	struct cprof_error *(*open)(struct cprof_wait_intake *intake, void **ret_state);
	/* Undo everything, also after an error of drain(). The kernel does the same if we are killed. */
	void (*close)(void *state);

	/* Fill `fds` with what makes drain() worth calling; returns how many. May be NULL. */
	size_t (*fds)(void *state, struct pollfd *fds, size_t cap);
	struct cprof_error *(*drain)(void *state);

	/*
	 * At the end, where waits that are not over yet are in the sums already: label them. NULL: they are not, and
	 * wait_edges.h looks for them.
	 */
	struct cprof_error *(*mark_open)(void *state);
	/* When thread `tid` began the wait it is in, CLOCK_MONOTONIC; false where the tier did not see that. */
	bool (*since)(void *state, uint32_t tid, uint64_t *ret_mono_ns);
	/* Show `fn` each row number (wait_table.h) that is kept for later, which it may change; may be NULL: none is. */
	void (*each_row)(void *state, void (*fn)(void *ctx, uint32_t *row), void *ctx);
	/* From now on waits bear the context of their thread, which is at `place`; NULL: it cannot be read in this way. */
	void (*set_place)(void *state, const struct cprof_context_place *place);
	/* Notes about the run as a whole, at its end; may be NULL. */
	void (*tell)(void *state);
};

extern const struct cprof_wait_tier cprof_wait_tier_bpf;
extern const struct cprof_wait_tier cprof_wait_tier_perf;
extern const struct cprof_wait_tier cprof_wait_tier_proc;

#endif
