/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/heap_apart.h - one run over several processes, taken apart: each is watched by itself, and none is lost by another.
 *
 * Owns who takes part: a process that cannot be watched, or no longer, is left out with the reason as a warning, as long as one
 * is left. Each has a run of its own, of this process alone, whose notes and counts are put together here. What they do with it is
 * heap_run.h's.
 */
#ifndef CPROF_ATTACH_HEAP_HEAP_APART_H
#define CPROF_ATTACH_HEAP_HEAP_APART_H

#include <stdbool.h>
#include <stddef.h>

#include "attach/run/run.h"
#include "cprof/error.h"

struct cprof_heap_one {
	struct cprof_run
		run; /* of this target alone; its log is `log`, but where it is the only one asked for */
	struct cprof_target *target; /* borrowed */
	struct cprof_run_log log;
	bool out; /* left out */
};

struct cprof_heap_apart {
	const struct cprof_run *run;   /* borrowed: what was asked for */
	struct cprof_run joined;       /* of those that take part: one session is of all */
	struct cprof_target **targets; /* owned: theirs */
	struct cprof_heap_one *all;    /* owned; `n`, in the order of joined.targets */
	size_t n;
};

/*
 * Those targets that live and whose memory answers (thread_look.h), and that are not run by something that minds (run_runner.h).
 * `run` must outlive it. Errors: where there is none, that of the first.
 */
struct cprof_error *cprof_heap_apart_init(struct cprof_heap_apart *apart,
					  const struct cprof_run *run);
void cprof_heap_apart_deinit(struct cprof_heap_apart *apart);

/* Several were asked for: samples must say whose they are. */
bool cprof_heap_apart_several(const struct cprof_heap_apart *apart);

/*
 * It cannot be watched because of `err`, which is taken. Errors: `err` itself where no other one takes part, or where it is
 * NO_MEMORY.
 */
struct cprof_error *cprof_heap_apart_leave_out(struct cprof_heap_apart *apart, size_t i,
					       struct cprof_error *err);

/* The sums of their counts into the log of the run. */
void cprof_heap_apart_count(const struct cprof_heap_apart *apart);

/* Their notes into the log of the run, each with the name of its process. */
void cprof_heap_apart_gather(struct cprof_heap_apart *apart);

#endif
