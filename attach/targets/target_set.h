/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/targets/target_set.h - the processes that rules mean, as they come and go; for as long as somebody wants to know.
 *
 * Owns the search: the kernel's word where it can be had (target_news.h), else a look at /proc every two seconds, in which everybody
 * is looked at again within ten. So whoever is meant is found within ten seconds in any case, also one that was moved to another
 * control group. What to do with them is the caller's. Nothing here stops a process; each is looked at as cprof_target_open() does.
 *
 * A profiler does not profile profilers: processes of this very program are left out, unless they were named by their id.
 */
#ifndef CPROF_ATTACH_TARGETS_TARGET_SET_H
#define CPROF_ATTACH_TARGETS_TARGET_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach/target/target.h"
#include "attach/targets/target_rules.h"
#include "cprof/error.h"

#define CPROF_TARGET_SET_MAX 1024 /* processes at once; more are counted and left out */

struct cprof_target_set;

struct cprof_target_set_events {
	/* One is there. The target is given away: who gets it closes it. */
	void (*came)(void *ctx, struct cprof_target *target);
	/* It has ended; or (`ended` false) it is not meant any more: it runs another program, is in another group, or the rules are others. */
	void (*went)(void *ctx, pid_t pid, uint64_t start_ticks, bool ended);
	/* For people: who is left out, and why; each once. */
	void (*say)(void *ctx, const char *text);
	void *ctx;
};

struct cprof_target_set_stats {
	size_t members, left_out;  /* left out: meant, but there is no room for them */
	uint64_t looks, looked_at; /* listings of /proc, and processes that were looked at */
	bool told_by_kernel;       /* else it looks for itself */
};

/*
 * `rules` are borrowed until the set is closed or gets others. Those that run are told before this returns. Errors: of a process that was
 * named by its id, those of cprof_target_open(); NO_TARGET (only plain names are meant, and nobody bears one); OS, NO_MEMORY.
 */
struct cprof_error *cprof_target_set_open(const struct cprof_target_rules *rules,
					  const struct cprof_target_set_events *events,
					  struct cprof_target_set **ret_set);

/* Tells nothing. NULL is a no-op. */
void cprof_target_set_close(struct cprof_target_set *set);

/* What to wait for: a descriptor to become readable, a moment. Then run it. It reads no more than a bounded piece at a time. */
int cprof_target_set_fd(const struct cprof_target_set *set);
uint64_t cprof_target_set_due_mono_ns(const struct cprof_target_set *set);
void cprof_target_set_run(struct cprof_target_set *set, uint64_t mono_ns);

/*
 * Other rules, or the same once more (SIGHUP): everybody is looked at. They count in any case, so that the ones before can go; of a
 * process that cannot be had it is said why.
 */
void cprof_target_set_again(struct cprof_target_set *set, const struct cprof_target_rules *rules);

void cprof_target_set_stats(const struct cprof_target_set *set,
			    struct cprof_target_set_stats *ret_stats);

#endif
