/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/threads/thread.h"

#include <stdlib.h>
#include <string.h>

#include "base/search.h"

const char *cprof_thread_means_name(enum cprof_thread_means means)
{
	static const char *const names[CPROF_MEANS_N] = {
		[CPROF_MEANS_NONE] = "none",   [CPROF_MEANS_ITER] = "bpf",
		[CPROF_MEANS_PROC] = "proc",   [CPROF_MEANS_PERF] = "perf",
		[CPROF_MEANS_STOP] = "ptrace", [CPROF_MEANS_CORE] = "core",
	};
	return means < CPROF_MEANS_N ? names[means] : "";
}

void cprof_thread_snapshot_deinit(struct cprof_thread_snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n; i++) {
		free(snapshot->threads[i].stack);
		free(snapshot->threads[i].frames);
	}
	free(snapshot->threads);
	*snapshot = (struct cprof_thread_snapshot){ 0 };
}

/* cgroup v1 has a place of its own for it; with v2 it is a stop on the way to a signal, which sleeps nowhere else. */
bool cprof_thread_is_frozen(const struct cprof_thread *thread)
{
	return (thread->state == 'D' || thread->state == 'S') &&
	       cprof_thread_wchan_is_freezer(thread->wchan);
}

size_t cprof_thread_snapshot_find(const struct cprof_thread_snapshot *snapshot, pid_t tid)
{
	size_t at = CPROF_SEARCH(i, snapshot->n, snapshot->threads[i].tid < tid);
	return at < snapshot->n && snapshot->threads[at].tid == tid ? at : SIZE_MAX;
}

static int by_tid(const void *a, const void *b)
{
	pid_t x = ((const struct cprof_thread *)a)->tid, y = ((const struct cprof_thread *)b)->tid;
	return (x > y) - (x < y);
}

void cprof_thread_snapshot_sort(struct cprof_thread_snapshot *snapshot)
{
	if (snapshot->n)
		qsort(snapshot->threads, snapshot->n, sizeof(*snapshot->threads), by_tid);
}

bool cprof_thread_same_wait(const struct cprof_thread *before, const struct cprof_thread *now)
{
	return before->tid == now->tid && before->start == now->start &&
	       (now->call.kind == CPROF_CALL_BLOCKED || now->call.kind == CPROF_CALL_OUTSIDE) &&
	       cprof_thread_call_same(&before->call, &now->call) && now->switches &&
	       before->switches == now->switches;
}

void cprof_thread_snapshot_rebase(struct cprof_thread_snapshot *snapshot,
				  const struct cprof_thread_snapshot *now)
{
	for (size_t i = 0; i < snapshot->n; i++) {
		struct cprof_thread *thread = &snapshot->threads[i];
		size_t at = cprof_thread_snapshot_find(now, thread->tid);
		if (at != SIZE_MAX && now->threads[at].start == thread->start &&
		    (now->threads[at].call.kind == CPROF_CALL_UNKNOWN ||
		     cprof_thread_call_same(&thread->call, &now->threads[at].call)))
			thread->switches = now->threads[at].switches;
	}
}

void cprof_thread_snapshot_mark_stuck(struct cprof_thread_snapshot *now,
				      const struct cprof_thread_snapshot *before)
{
	for (size_t i = 0; i < now->n; i++) {
		size_t at = cprof_thread_snapshot_find(before, now->threads[i].tid);
		if (at == SIZE_MAX ||
		    !cprof_thread_same_wait(&before->threads[at], &now->threads[i]))
			continue;
		now->threads[i].stuck_ns =
			before->threads[at].stuck_ns + (now->mono_ns - before->mono_ns);
	}
}
