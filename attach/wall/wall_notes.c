/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/wall/wall_notes.h"

#include <inttypes.h>

#define UNKNOWN_LEAST_NS 100000000ull
#define UNKNOWN_PART     20 /* of so much of the time off CPU it is worth a word */
#define SLEPT_LEAST_NS   1000000ull

static double s(uint64_t ns)
{
	return (double)ns / 1e9;
}

/* Where they come late it is because others run, the target too: then what it does while nobody runs is seen more often. */
static void tell_looks(const struct cprof_wall_notes *notes)
{
	const struct cprof_wait_intake *intake = notes->watch->intake;
	const uint64_t window_ns = cprof_window_elapsed_ns(intake->run->window);
	const uint64_t looks = notes->looked_back_ns
				       ? (uint64_t)((double)notes->looks * (double)window_ns /
						    (double)notes->looked_back_ns)
				       : notes->looks;
	const uint64_t pause_ns = cprof_wait_watch_pause_ns(notes->watch);
	struct cprof_run_log *log = intake->run->log;
	cprof_run_log_note(log, CPROF_NOTE_FACT,
			   "%" PRIu64 " looks: a part p of what a thread waited is right within "
			   "2 * sqrt(p * (1 - p) / looks), 19 times of 20",
			   looks);
	if ((looks + 2) * pause_ns < window_ns / 10 * 8 && !notes->sums->stopped_ns)
		cprof_run_log_note(
			log, CPROF_NOTE_WARNING,
			"looks came late, %.1f ms apart and not %.1f, as the machine is busy: where a "
			"thread waits is not as certain as that",
			(double)window_ns / 1e6 / (double)(looks + 1), (double)pause_ns / 1e6);
}

/*
 * A sample more or less is chance, and so is which waits shorter than the rate were kept: the sum of those has a deviation of
 * sqrt(sum * rate) at most (attach/locks/wait.h). Twice that is passed once in twenty times.
 */
static void tell_chance(const struct cprof_wall_notes *notes)
{
	struct cprof_run_log *log = notes->watch->intake->run->log;
	if (notes->tier->samples && notes->sums->samples > 0)
		cprof_run_log_note(
			log, CPROF_NOTE_FACT,
			"%.0f samples: a part p of what a thread was on a CPU is right within "
			"2 * sqrt(p * (1 - p) / its samples), 19 times of 20",
			notes->sums->samples);
	if (notes->tier->looks)
		tell_looks(notes);
	else
		cprof_run_log_note(
			log, CPROF_NOTE_FACT,
			"waits of x s at one place are right within 2 * sqrt(x * %.2g), 19 times of "
			"20: those longer than %.3g us were all kept",
			s(notes->rate_most_ns), (double)notes->rate_most_ns / 1e3);
}

static void tell_sums(const struct cprof_wall_notes *notes)
{
	const struct cprof_wait_intake *intake = notes->watch->intake;
	const struct cprof_wall_sums *sums = notes->sums;
	struct cprof_run_log *log = intake->run->log;
	cprof_run_log_note(log, CPROF_NOTE_FACT, "wall by %s: %s", notes->tier->name,
			   notes->tier->exactly);
	cprof_run_log_note(log, CPROF_NOTE_FACT,
			   "%.3f s of %" PRIu64
			   " threads: %.3f s on a CPU, %.3f s in the run queue, "
			   "%.3f s off CPU",
			   s(sums->cpu_ns + sums->queue_ns + sums->off_ns), sums->threads,
			   s(sums->cpu_ns), s(sums->queue_ns), s(sums->off_ns));
	if (sums->idle_threads)
		cprof_run_log_note(
			log, CPROF_NOTE_FACT,
			"%" PRIu64 " idle threads, %.3f s in %" PRIu64 " places, never ran%s",
			sums->idle_threads, s(sums->idle_ns), sums->idle_places,
			notes->shows_idle ? "" : " and are left out: -wall all shows them");
	tell_chance(notes);
	if (sums->stopped_ns)
		cprof_run_log_note(
			log, CPROF_NOTE_FACT,
			"%.3f s of what is off CPU it was stopped, by a signal, a tracer or "
			"its cgroup's freezer",
			s(sums->stopped_ns));
}

static void tell_lacks(const struct cprof_wall_notes *notes)
{
	const struct cprof_wait_intake *intake = notes->watch->intake;
	const struct cprof_wall_sums *sums = notes->sums;
	struct cprof_run_log *log = intake->run->log;
	if (notes->user_only)
		cprof_run_log_note(
			log, CPROF_NOTE_WARNING,
			"time on a CPU in the kernel is in the sums all the same, at the user's stacks: it may "
			"not be sampled (kernel.perf_event_paranoid 1 or CAP_PERFMON allow it)");
	if (notes->missed)
		cprof_run_log_note(log, CPROF_NOTE_WARNING,
				   "%" PRIu64 " threads had no room in the account and are missing",
				   notes->missed);
	if (notes->dropped)
		cprof_run_log_note(log, CPROF_NOTE_WARNING,
				   "%" PRIu64
				   " samples and waits were of too many distinct stacks and "
				   "threads: the sums are right, their division is coarser",
				   notes->dropped);
	if (sums->unknown_ns >= UNKNOWN_LEAST_NS && sums->unknown_ns * UNKNOWN_PART > sums->off_ns)
		cprof_run_log_note(log, CPROF_NOTE_WARNING,
				   "%.3f s off CPU are [unknown]: no look or event met these waits",
				   s(sums->unknown_ns));
	if (notes->slept_ns >= SLEPT_LEAST_NS)
		cprof_run_log_note(
			log, CPROF_NOTE_WARNING,
			"the machine was suspended for %.3f s meanwhile, which are not in the "
			"profile",
			s(notes->slept_ns));
}

void cprof_wall_notes_tell(const struct cprof_wall_notes *notes)
{
	tell_sums(notes);
	tell_lacks(notes);
}
