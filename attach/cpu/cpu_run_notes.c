/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people are told at the end of a CPU profile: what is lacking in it, and why there may be little in it.
 */
#include "attach/cpu/cpu_run_impl.h"

#include <inttypes.h>
#include <stdio.h>

uint64_t cpu_period_now(const struct cpu *cpu)
{
	return cpu->weights->changes[cpu->weights->n - 1].period;
}

/* Lost samples and threads without events have been told of already. */
static void note_short_account(const struct cpu *cpu)
{
	const struct cprof_cpu_account *account = &cpu->account;
	const struct cprof_counts *counts = &cpu->run->log->counts;
	const uint64_t period_ns = cpu_period_now(cpu), sampled_ns = cpu->kept;
	if (!cpu->event.is_clock || !cpu->source->opener->clock_per_thread || !account->known ||
	    counts->lost || cpu->source->unfollowed || cpu->run->threads ||
	    !cprof_cpu_account_short(account->used_ns, sampled_ns, period_ns))
		return;
	cprof_run_log_note(
		cpu->run->log, CPROF_NOTE_WARNING,
		"only %.2f of %.2f s of processor time were sampled: a thread that works for less "
		"than %.3g ms in all leaves no sample with -open %s (raise -hz; root, or CAP_BPF "
		"and CAP_PERFMON, allow -open cpu, which sees them all)",
		(double)sampled_ns / 1e9, (double)account->used_ns / 1e9, (double)period_ns / 1e6,
		cpu->source->opener->name);
}

/* Where samples were lost, or not everything was seen, nobody knows; that has been told. */
static void note_idle(const struct cpu *cpu)
{
	char text[256];
	const struct cprof_counts *counts = &cpu->run->log->counts;
	uint64_t used_ns = cpu->kept;
	if (cpu->account.known && cpu->account.used_ns > used_ns)
		used_ns = cpu->account
				  .used_ns; /* too little in each thread for a sample is not idle */
	if (counts->lost || cpu->source->kernel_excluded || cpu->source->unfollowed ||
	    cpu->run->threads)
		return;
	if (cpu->event.is_clock)
		cprof_cpu_idle_text(used_ns, cprof_window_elapsed_ns(cpu->run->window),
				    cpu->run->children ? 0 : cpu->idle.children_ns, text,
				    sizeof(text));
	else
		snprintf(text, sizeof(text), "%s",
			 !cpu->counter.n || cpu->counted || counts->samples
				 ? ""
				 : "the event did not happen in its threads, not once");
	if (!text[0] && cpu->event.is_clock && !cpu->kept)
		snprintf(
			text, sizeof(text),
			"no sample was taken: %.3g ms of processor time were used, and one stands for "
			"%.3g ms: a longer -seconds or a higher -hz has some",
			(double)used_ns / 1e6, (double)cpu_period_now(cpu) / 1e6);
	if (text[0])
		cprof_run_log_note(cpu->run->log, CPROF_NOTE_FACT, "%s", text);
}

static void note_pace(const struct cpu *cpu)
{
	if (!cpu->event.is_clock || cpu->weights->n < 2)
		return;
	cprof_run_log_note(
		cpu->run->log, CPROF_NOTE_FACT,
		"sampled less often at times, at last %.4g times a second instead of %.4g, so that "
		"it costs no more than %.3g %% of each processor (-overhead)",
		1e9 / (double)cpu_period_now(cpu), cpu->request->rate_hz,
		cpu->request->overhead * 100);
}

static void note_children(const struct cpu *cpu)
{
	size_t n = cprof_session_n_children(cpu->session);
	if (cpu->run->children)
		cprof_run_log_note(cpu->run->log, CPROF_NOTE_FACT,
				   "%zu processes that were started meanwhile are in the profile: "
				   "the label pid tells whose a sample is",
				   n);
	if (cpu->children_missed)
		cprof_run_log_note(cpu->run->log, CPROF_NOTE_WARNING,
				   "%" PRIu64 " more processes that were started are not in it: no "
				   "more than %d are followed",
				   cpu->children_missed, CPU_CHILDREN_MAX);
}

void cpu_note_end(const struct cpu *cpu)
{
	struct cprof_run_log *log = cpu->run->log;
	const struct cprof_counts *counts = &log->counts;
	if (counts->lost)
		cprof_run_log_note(log, CPROF_NOTE_WARNING,
				   "%" PRIu64 " samples were lost: lower -hz or -stack-bytes",
				   counts->lost);
	if (cpu->source->throttled)
		cprof_run_log_note(log, CPROF_NOTE_WARNING,
				   "the kernel throttled sampling %" PRIu64
				   " times: see kernel.perf_event_max_sample_rate",
				   cpu->source->throttled);
	if (cpu->others)
		cprof_run_log_note(log, CPROF_NOTE_WARNING,
				   "%" PRIu64 " samples are of 32-bit code and have no user stack",
				   cpu->others);
	note_short_account(cpu);
	note_pace(cpu);
	note_idle(cpu);
	note_children(cpu);
	if (cpu->counter.n && cpu->counted && !counts->samples && !cpu->left_out)
		cprof_run_log_note(log, CPROF_NOTE_WARNING,
				   "%s happened %" PRIu64 " times, but never while a sample of it "
				   "could be taken",
				   cpu->request->event, cpu->counted);
}
