/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/thread_progress.h"

#include <stdbool.h>
#include <time.h>

#include "attach/target/thread_proc.h"
#include "base/clock.h"

#define ENOUGH_NS 50000ull   /* many thousand instructions */
#define NAP_NS    2000000ull /* between two looks, at first */
#define NAP_MAX   32000000ull

/* How long it was on a processor so far; false: it is gone, or the kernel does not tell. */
static bool read_ran(pid_t pid, pid_t tid, uint64_t *ret_ns)
{
	struct cprof_thread_schedstat now;
	if (!cprof_thread_schedstat_read(pid, tid, &now))
		return false;
	*ret_ns = now.ran_ns;
	return true;
}

static bool wants_to_run(pid_t pid, pid_t tid)
{
	char text[1024];
	struct cprof_thread_stat stat;
	return cprof_thread_read(pid, tid, "stat", text, sizeof(text)) > 0 &&
	       cprof_thread_stat_parse(text, &stat) && stat.state == 'R';
}

static void add(struct cprof_thread_progress *progress, pid_t tid)
{
	uint64_t ran_ns;
	if (progress->n == CPROF_THREAD_PROGRESS_MAX || !read_ran(progress->pid, tid, &ran_ns))
		return;
	progress->threads[progress->n].tid = tid;
	progress->threads[progress->n++].ran_ns = ran_ns;
}

void cprof_thread_progress_begin_of(struct cprof_thread_progress *progress, pid_t pid,
				    const pid_t *tids, size_t n)
{
	*progress = (struct cprof_thread_progress){ .pid = pid };
	for (size_t i = 0; i < n; i++)
		add(progress, tids[i]);
}

void cprof_thread_progress_begin(struct cprof_thread_progress *progress,
				 const struct cprof_ptrace *trace)
{
	*progress = (struct cprof_thread_progress){ .pid = trace->pid };
	for (size_t i = 0; i < trace->n && progress->n < CPROF_THREAD_PROGRESS_MAX; i++) {
		const struct cprof_tracee *thread = &trace->threads[i];
		if (thread->state == CPROF_TRACEE_STOPPED && (int64_t)thread->regs.orig_rax < 0)
			add(progress, thread->tid);
	}
}

static bool is_done(const struct cprof_thread_progress *progress)
{
	for (size_t i = 0; i < progress->n; i++) {
		const pid_t tid = progress->threads[i].tid;
		uint64_t ran_ns;
		if (read_ran(progress->pid, tid, &ran_ns) &&
		    ran_ns - progress->threads[i].ran_ns < ENOUGH_NS &&
		    wants_to_run(progress->pid, tid))
			return false;
	}
	return true;
}

void cprof_thread_progress_await(const struct cprof_thread_progress *progress, uint64_t until_ns)
{
	for (uint64_t nap_ns = NAP_NS; !is_done(progress) && cprof_clock_mono_ns() < until_ns;) {
		nanosleep(&(struct timespec){ .tv_nsec = (long)nap_ns }, NULL);
		if (nap_ns < NAP_MAX)
			nap_ns *= 2;
	}
}
