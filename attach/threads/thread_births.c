/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/threads/thread_births.h"

#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attach/perf/perf_source.h"
#include "attach/perf/perf_tracepoint.h"
#include "attach/run/session.h"
#include "attach/target/target_mem.h"
#include "base/clock.h"
#include "cprof/arch.h"

#define WAIT_NS     (100 * CPROF_NS_PER_S / 1000)
#define STACK_BYTES 16384
#define RATE_HZ     200 /* threads a second for which rings have room: more are counted as lost */
#define TYPE        "threadcreate"
#define CACHE_FILE  "tracepoints.clone"

static void call_clone(void)
{
	syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0); /* without CLONE_SIGHAND it is refused */
}

static void call_clone3(void)
{
	syscall(SYS_clone3, NULL, 0);
}

/* CLONE_THREAD: the others are processes. */
#define TASK_FILTER "clone_flags & 65536"
_Static_assert(CLONE_THREAD == 65536, "as the filter has it");

enum { CLONE, CLONE3, N_CALLS }; /* what the first argument of the second is, points to the flags */

static const struct cprof_perf_tracepoint tracepoints[N_CALLS] = {
	[CLONE] = { .name = "sys_enter_clone", .call = call_clone, .guess = 200 },
	[CLONE3] = { .name = "sys_enter_clone3", .call = call_clone3, .guess = 200 },
};

struct births {
	const struct cprof_run *run;
	struct cprof_session *session;
	struct cprof_perf_source *sources[N_CALLS]; /* owned; NULL: not there */
	bool by_task; /* the first of them tells of new threads; else each of a system call's entry */
	size_t now;   /* whose records are being drained */
};

/* ---- records ---- */

/* The register of a system call's first argument, by its DWARF number: rdi, x0. */
static uint64_t first_argument(const struct cprof_regs *regs)
{
#ifdef __x86_64__
	return regs->r[5];
#else
	return regs->r[0];
#endif
}

/* Of struct clone_args, whose first member they are; from the copy of the stack, where it lies as a rule. */
static uint64_t flags_at(struct cprof_process *process, const struct cprof_session_sample *sample,
			 uint64_t addr)
{
	uint64_t flags = 0;
	const uint64_t offset = addr - sample->stack_addr; /* below it: larger than any stack */
	if (sample->n_stack >= sizeof(flags) && offset <= sample->n_stack - sizeof(flags))
		memcpy(&flags, (const char *)sample->stack + offset, sizeof(flags));
	else if (!cprof_target_mem_read(&process->mem, addr, &flags, sizeof(flags)))
		return 0;
	return flags;
}

static bool is_of_thread(const struct births *births, struct cprof_process *process,
			 const struct cprof_session_sample *sample)
{
	uint64_t flags = first_argument(sample->regs);
	if (births->now == CLONE3)
		flags = flags_at(process, sample, flags);
	return (flags & CLONE_THREAD) != 0;
}

static struct cprof_error *on_call(struct births *births, struct cprof_process *process,
				   const struct cprof_perf_record *record)
{
	const int64_t one = 1;
	struct cprof_regs regs;
	struct cprof_session_stack stack;
	uint32_t labels;
	if (!record->sample.regs || record->sample.regs_32bit)
		return NULL;
	cprof_arch_regs_from_perf(cprof_arch_host(), record->sample.regs, &regs);
	const struct cprof_session_sample sample = {
		.process = process,
		.regs = &regs,
		.stack_addr = regs.r[cprof_arch_host()->sp],
		.stack = record->sample.stack,
		.n_stack = record->sample.n_stack,
		.live = true,
	};
	if (!births->by_task && !is_of_thread(births, process, &sample))
		return NULL;
	if (!cprof_session_wants(births->session, process, (pid_t)record->tid))
		return NULL;
	births->run->log->counts.samples++;
	struct cprof_error *err = cprof_session_walk(births->session, &sample, &stack);
	if (!err)
		err = cprof_session_labels(births->session, process, (pid_t)record->tid, NULL, 0,
					   &labels);
	return err ? err : cprof_session_add(births->session, &stack, labels, &one);
}

static struct cprof_error *on_record(void *ctx, const struct cprof_perf_record *record)
{
	struct births *births = ctx;
	struct cprof_process *process = cprof_session_process(births->session, (pid_t)record->pid);
	const bool first = births->now == CLONE; /* what is told beside samples is told to both */
	if (!process || !process->started ||
	    (process->target->exited && record->time_ns > process->target->exited_mono_ns))
		return NULL;
	switch (record->kind) {
	case CPROF_PERF_SAMPLE:
		return record->time_ns < births->run->window->start_mono_ns
			       ? NULL
			       : on_call(births, process, record);
	case CPROF_PERF_EXEC:
		return first ? cprof_session_exec(births->session, process) : NULL;
	case CPROF_PERF_COMM:
		return first ? cprof_process_name_thread(process, (pid_t)record->tid, record->comm)
			     : NULL;
	default: /* mappings are read again where a stack leads to one that is not known */
		return NULL;
	}
}

/* ---- the window ---- */

static struct cprof_error *drain(struct births *births, uint64_t until_ns)
{
	struct cprof_error *err = NULL;
	uint64_t lost = 0;
	for (size_t i = 0; !err && i < N_CALLS; i++) {
		if (!births->sources[i])
			continue;
		births->now = i;
		err = cprof_perf_source_drain(births->sources[i], until_ns, on_record, births);
		lost += births->sources[i]->lost_records;
	}
	births->run->log->counts.lost = lost;
	return err;
}

static struct cprof_error *follow(struct births *births)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < N_CALLS; i++) {
		struct cprof_perf_source *source = births->sources[i];
		if (source && source->opener->follow)
			err = source->opener->follow(source);
	}
	return err;
}

static struct cprof_error *finish(void *ctx, struct cprof_profile **ret_profile)
{
	struct births *births = ctx;
	if (births->run->log->counts.lost)
		cprof_run_log_note(births->run->log, CPROF_NOTE_WARNING,
				   "%llu starts of threads were lost: they came too fast",
				   (unsigned long long)births->run->log->counts.lost);
	else if (!births->run->log->counts.samples && !births->run->threads)
		cprof_run_log_note(births->run->log, CPROF_NOTE_FACT,
				   "no thread was started in %.3g s: those that there are, are in "
				   "-mode threads",
				   (double)cprof_window_elapsed_ns(births->run->window) / 1e9);
	return cprof_session_finish(births->session, TYPE, "count", 1, TYPE, ret_profile);
}

static struct cprof_error *sample(struct births *births)
{
	struct cprof_window *window = births->run->window;
	for (size_t i = 0; i < N_CALLS; i++) {
		if (births->sources[i])
			cprof_perf_source_enable(births->sources[i]);
	}
	cprof_window_start(window);
	struct cprof_error *err = cprof_session_read_targets(births->session);
	while (!err && cprof_window_wait(window, NULL, 0, WAIT_NS, &births->run->log->counts)) {
		err = follow(births);
		if (!err)
			err = drain(births, cprof_clock_mono_ns());
		if (!err)
			err = cprof_snapshots_take(window->snapshots, finish, births);
		cprof_session_prefetch(births->session);
	}
	return err ? err : drain(births, UINT64_MAX);
}

/* ---- opening ---- */

static struct cprof_error *open_point(struct births *births, uint64_t id, const char *name,
				      const char *filter, struct cprof_perf_source **ret_source)
{
	struct cprof_perf_source_request request = {
		.attr = { .type = PERF_TYPE_TRACEPOINT,
			  .config = id,
			  .sample_period = 1,
			  .exclude_kernel = !filter },
		.name = name,
		.filter = filter,
		.stack_bytes = STACK_BYTES,
		.rate_hz = RATE_HZ,
		.strategy = "auto",
		.children = births->run->children,
		.targets = births->run->targets,
		.n_targets = births->run->n_targets,
		.log = births->run->log,
	};
	return cprof_perf_source_open(&request, ret_source);
}

/*
 * The kernel's word that a thread is there, in the one that has made it. It is not for everybody: an event that may not see the kernel is
 * never told. But an open tracepoint of system calls makes each call of the machine slower.
 */
static bool open_task(struct births *births)
{
	const uint64_t id = cprof_perf_tracepoint_id("task", "task_newtask");
	if (!id)
		return false;
	struct cprof_error *err =
		open_point(births, id, "task_newtask", TASK_FILTER, &births->sources[0]);
	births->by_task = !err && !births->sources[0]->kernel_excluded;
	if (!err && !births->by_task) {
		cprof_perf_source_close(births->sources[0]);
		births->sources[0] = NULL;
	}
	cprof_error_free(err);
	return births->by_task;
}

/* Kernels before 5.3 have no clone3(2). */
static struct cprof_error *open_calls(struct births *births)
{
	struct cprof_perf_tracepoint points[N_CALLS];
	memcpy(points, tracepoints, sizeof(points));
	struct cprof_error *err = cprof_perf_tracepoints_find(points, N_CALLS, CACHE_FILE);
	for (size_t i = 0; !err && i < N_CALLS; i++) {
		if (points[i].id)
			err = open_point(births, points[i].id, points[i].name, NULL,
					 &births->sources[i]);
	}
	return err;
}

struct cprof_error *cprof_thread_births_run(const struct cprof_run *run,
					    struct cprof_profile **ret_profile)
{
	static const struct cprof_builder_type types[] = { { TYPE, "count" } };
	struct births births = { .run = run };
	*ret_profile = NULL;
	struct cprof_error *err = open_task(&births) ? NULL : open_calls(&births);
	if (!err)
		err = cprof_session_prepare(run, types, 1, &births.session);
	if (!err)
		err = sample(&births);
	if (!err && cprof_snapshots_want_last(run->window->snapshots))
		err = finish(&births, ret_profile);
	cprof_session_free(births.session);
	for (size_t i = 0; i < N_CALLS; i++) {
		if (births.sources[i])
			cprof_perf_source_close(births.sources[i]);
	}
	return err;
}
