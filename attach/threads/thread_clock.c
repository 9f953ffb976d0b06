/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/threads/thread_clock.h"

#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "attach/target/thread_proc.h"
#include "attach/threads/thread_observer.h"
#include "base/clock.h"

/* More than any kernel counts (NR_CPUS is at most 8192). */
#define CPUS_MAX 8192

/* How far one CPU's clock is ahead of CLOCK_MONOTONIC; modulo 2^64. */
struct cpu_clock {
	uint64_t ahead_ns;
	bool asked;
	bool known;
};

/* Our own exec_start, which yielding brings up to date, is the clock of the CPU that we are on. */
static bool read_clock(uint64_t *ret_ahead_ns)
{
	char text[4096];
	struct cprof_thread_switches self;
	sched_yield();
	const uint64_t mono_ns = cprof_clock_mono_ns();
	if (cprof_thread_read(getpid(), gettid(), "sched", text, sizeof(text)) <= 0 ||
	    !cprof_thread_sched_parse(text, &self) || !self.last_ns)
		return false;
	*ret_ahead_ns = self.last_ns - mono_ns;
	return true;
}

static void ask(struct cpu_clock *clock, size_t cpu)
{
	cpu_set_t *only = CPU_ALLOC(CPUS_MAX);
	if (only) {
		CPU_ZERO_S(CPU_ALLOC_SIZE(CPUS_MAX), only);
		CPU_SET_S(cpu, CPU_ALLOC_SIZE(CPUS_MAX), only);
		(void)sched_setaffinity(0, CPU_ALLOC_SIZE(CPUS_MAX), only);
		CPU_FREE(only);
	}
	clock->asked = true;
	clock->known = read_clock(&clock->ahead_ns);
}

/* One that waits for a CPU is not waiting for anything else. */
static bool sleeps(const struct cprof_thread *thread)
{
	return thread->state != 'R' && thread->last_ns && thread->cpu >= 0 &&
	       thread->cpu < CPUS_MAX &&
	       (thread->means == CPROF_MEANS_ITER || thread->call.kind != CPROF_CALL_RUNNING ||
		!cprof_thread_observer_has_stack(thread->state));
}

static void fill(struct cprof_thread *thread, uint64_t mono_ns, struct cpu_clock *clocks)
{
	thread->idle_ns = 0;
	if (!sleeps(thread))
		return;
	struct cpu_clock *clock = &clocks[thread->cpu];
	if (!clock->asked)
		ask(clock, (size_t)thread->cpu);
	const int64_t idle_ns = (int64_t)(mono_ns + clock->ahead_ns - thread->last_ns);
	if (clock->known && idle_ns > 0)
		thread->idle_ns = (uint64_t)idle_ns;
}

void cprof_thread_clock_fill(struct cprof_thread_snapshot *snapshot, uint64_t mono_ns)
{
	struct cpu_clock *clocks = calloc(CPUS_MAX, sizeof(*clocks));
	cpu_set_t *before = CPU_ALLOC(CPUS_MAX);
	/* Where the CPUs to come back to are not known we do not leave. */
	if (clocks && before && sched_getaffinity(0, CPU_ALLOC_SIZE(CPUS_MAX), before) == 0) {
		for (size_t i = 0; i < snapshot->n; i++)
			fill(&snapshot->threads[i], mono_ns, clocks);
		(void)sched_setaffinity(0, CPU_ALLOC_SIZE(CPUS_MAX), before);
	}
	CPU_FREE(before);
	free(clocks);
}
