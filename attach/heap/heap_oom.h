/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/heap_oom.h - the heap profile of a process that is about to be killed for want of memory, written before that.
 *
 * What was sampled is in our memory and not in the process's: a copy of ours (fork) names and writes it while the run goes on, and where the process is
 * killed nevertheless, or too fast for that, the profile at the end is as good. When it is time says attach/target/memory_watch.h.
 */
#ifndef CPROF_ATTACH_HEAP_HEAP_OOM_H
#define CPROF_ATTACH_HEAP_HEAP_OOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach/run/run_log.h"
#include "attach/target/memory_watch.h"
#include "attach/target/target.h"
#include "cprof/error.h"
#include "cprof/profile.h"

/* What is asked for. */
struct cprof_heap_on_oom {
	/* Write it, and say so; in a copy of this process. NULL: nobody asks. */
	void (*write)(void *ctx, const struct cprof_profile *profile, const char *why);
	void *ctx;
	uint64_t rss_bytes; /* of one process; more is a reason as well; 0: no bound */
};

typedef struct cprof_error *cprof_heap_oom_finish(void *ctx, struct cprof_profile **ret_profile);

struct cprof_heap_oom {
	const struct cprof_heap_on_oom *asked; /* borrowed */
	struct cprof_run_log *log;             /* borrowed */
	struct cprof_memory_watch *watches;    /* owned */
	size_t n;
	uint64_t looked_mono_ns, written_mono_ns;
	pid_t copy; /* at work; 0: none */
};

/* Watch these, if anybody asks; all is borrowed. Warns where we may be killed in their place. Errors: NO_MEMORY. */
struct cprof_error *cprof_heap_oom_open(struct cprof_heap_oom *oom,
					const struct cprof_heap_on_oom *asked,
					struct cprof_target *const *targets, size_t n,
					struct cprof_run_log *log);
void cprof_heap_oom_close(struct cprof_heap_oom *oom);

/*
 * A look, at most twenty times a second. Where it is time a copy of this process makes the profile by `finish` and writes it, unless one was
 * written just before. True: it is time; what lives should be known as of now, for later may be too late.
 */
bool cprof_heap_oom_look(struct cprof_heap_oom *oom, cprof_heap_oom_finish *finish, void *ctx);

/* The run is over: wait for a copy at work; who was killed is noted, and counted in the log. */
void cprof_heap_oom_end(struct cprof_heap_oom *oom);

#endif
