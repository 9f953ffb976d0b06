/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/memory_watch.h - is a process about to be killed for want of memory? And was it?
 *
 * Looks at a bound of its resident memory, at the limits of its control groups and what they count (memory_cgroup.h), at the machine's memory,
 * and at the kernel's pressure stall information. A few small files of the kernel's at each look, a tenth of a millisecond or two; nothing is done
 * to the process.
 *
 * Sources: Documentation/admin-guide/cgroup-v2.rst "memory.events"; Documentation/accounting/psi.rst "Monitoring for pressure thresholds"; proc(5)
 * "statm", "meminfo", "vmstat".
 */
#ifndef CPROF_ATTACH_TARGET_MEMORY_WATCH_H
#define CPROF_ATTACH_TARGET_MEMORY_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/target/memory_cgroup.h"
#include "attach/target/target.h"
#include "attach/target/target_fate.h"
#include "cprof/buffer.h"
#include "cprof/error.h"

/* What one look saw. */
struct cprof_memory_sight {
	uint64_t resident_bytes;               /* of the process */
	struct cprof_memory_room room;         /* of its groups */
	struct cprof_memory_events events;     /* of its own group */
	uint64_t total_bytes, available_bytes; /* of the machine */
	uint64_t machine_oom_kill;             /* processes killed since it runs */
	bool pressed; /* all who want memory waited for it, a tenth of two seconds */
};

struct cprof_memory_watch {
	const struct cprof_target *target; /* borrowed */
	uint64_t rss_bound;                /* bytes; 0: none */
	struct cprof_memory_cgroup *group; /* owned; NULL: it is in none that can be seen */
	int pressure_fd;                   /* owned; -1: the kernel does not tell */
	struct cprof_memory_sight first, last;
	struct cprof_target_fate fate;
	bool gone; /* the group was taken away; `last` has what it said before */
};

/* `target` is borrowed. What cannot be watched is left out, and of one that has ended that is all. Errors: NO_MEMORY. */
struct cprof_error *cprof_memory_watch_open(struct cprof_memory_watch *watch,
					    const struct cprof_target *target, uint64_t rss_bound);
void cprof_memory_watch_close(struct cprof_memory_watch *watch);

/* Look. True: it is time; `why` gets a sentence without an end. */
bool cprof_memory_watch_look(struct cprof_memory_watch *watch, struct cprof_buffer *why);

/* Whether two sights mean that memory is about to run out; pure. */
bool cprof_memory_watch_judge(const struct cprof_memory_sight *before,
			      const struct cprof_memory_sight *now, uint64_t rss_bound,
			      struct cprof_buffer *why);

/*
 * The process has ended. True: the kernel killed it for want of memory, as its group's count or the machine's shows, and it did not end otherwise;
 * `why` gets that.
 */
bool cprof_memory_watch_killed(struct cprof_memory_watch *watch, struct cprof_buffer *why);

/* This process is less likely to be killed than those that it watches, where it may say so (root). */
void cprof_memory_watch_step_back(void);

/* We are in its group, and whoever is killed there may be ourselves. */
bool cprof_memory_watch_is_shared(const struct cprof_memory_watch *watch);

#endif
