/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A clock has a fixed period, so each sample weighs exactly its nanoseconds. Other events are sampled at about the rate asked
 * for, and weighed by what the kernel counted: cpu_weight.h.
 */
#include "attach/cpu/cpu_run_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach/perf/perf_host.h"
#include "attach/target/target_children.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define WAIT_NS         (500 * 1000000ull)
#define FOLLOW_NS       (100 * 1000000ull)
#define FIRST_OF_CALLS  64
#define FIRST_OF_CYCLES 1000000
#define OPENED_BETWEEN  64 /* modules opened between two looks at the rings */

/* ---- records ---- */

/* What it stands for: it has the period of its time. */
static int64_t weight_of(const struct cpu *cpu, const struct cprof_perf_record *record)
{
	return (int64_t)cprof_cpu_weight_of(cpu->weights, (pid_t)record->tid, record->time_ns);
}

static struct cprof_error *on_sample(struct cpu *cpu, struct cprof_process *process,
				     const struct cprof_perf_record *record)
{
	const struct cprof_arch *arch = cprof_arch_host();
	struct cprof_session_sample sample = {
		.process = process,
		.kernel = record->sample.kernel,
		.n_kernel = record->sample.n_kernel,
		.stack = record->sample.stack,
		.n_stack = record->sample.n_stack,
		.live = true,
	};
	cprof_other_stack_add(&sample, record->sample.other, record->sample.n_other);
	struct cprof_regs regs;
	const int64_t values[] = { 1, weight_of(cpu, record) };
	if (!cprof_session_wants(cpu->session, process, (pid_t)record->tid)) {
		cpu->left_out += (uint64_t)values[1];
		return NULL;
	}
	cpu->kept += (uint64_t)values[1];
	cpu->run->log->counts.samples++;
	cpu->others += record->sample.regs_32bit;
	if (record->sample.regs && !record->sample.regs_32bit) {
		cprof_arch_regs_from_perf(arch, record->sample.regs, &regs);
		sample.regs = &regs;
		sample.stack_addr = regs.r[arch->sp];
	}
	struct cprof_session_stack stack;
	const struct cprof_builder_label *extra;
	size_t n_extra;
	uint32_t labels;
	struct cprof_error *err = cprof_session_walk(cpu->session, &sample, &stack);
	if (!err && cpu->take)
		return cpu->take(cpu, record, &stack);
	if (err)
		return err;
	cprof_contexts_labels(cpu->contexts, process, record->sample.context,
			      record->sample.n_context, &extra, &n_extra);
	err = cprof_session_labels(cpu->session, process, (pid_t)record->tid, extra, n_extra,
				   &labels);
	return err ? err
		   : cprof_session_add_at(cpu->session, &stack, labels, record->time_ns, values);
}

/* Open the module now: the process may be gone when its samples are looked at. */
static struct cprof_error *open_module(struct cpu *cpu, struct cprof_process *process,
				       struct cprof_map *map)
{
	struct cprof_module *module;
	if (map->module || !(map->prot & 4) || process->target->exited)
		return NULL;
	return cprof_modules_get(cprof_session_modules(cpu->session), &process->maps, map, &module);
}

static bool ends_with(const char *text, const char *tail)
{
	size_t len = strlen(text), n = strlen(tail);
	return len >= n && strcmp(text + len - n, tail) == 0;
}

static struct cprof_error *on_map(struct cpu *cpu, struct cprof_process *process,
				  const struct cprof_perf_record *record)
{
	struct cprof_map map = cprof_perf_record_map(record);
	/* A deleted file (a memfd): /proc tells apart what is its name and what is not. */
	if (ends_with(map.path, " (deleted)"))
		return cprof_process_refresh(process, 0);
	const struct cprof_map *added;
	struct cprof_error *err = cprof_maps_add(&process->maps, &map, &added);
	if (err && err->code == CPROF_ERR_BAD_DATA) { /* an empty range says nothing */
		cprof_error_free(err);
		return NULL;
	}
	return err ? err : open_module(cpu, process, process->maps.all[added->id]);
}

static struct cprof_error *open_modules(struct cpu *cpu, struct cprof_process *process)
{
	for (size_t i = 0; i < process->maps.n_sorted; i++) {
		struct cprof_error *err = open_module(cpu, process, process->maps.sorted[i]);
		if (err)
			return err;
	}
	return NULL;
}

static struct cprof_error *on_thread(struct cpu *cpu, struct cprof_process *process,
				     const struct cprof_perf_record *record)
{
	struct cprof_error *err = NULL;
	if ((!cpu->event.is_clock || cpu->weight.n > 1) && cpu->source->opener->live)
		err = cprof_cpu_weight_inherit(&cpu->weight, (pid_t)record->tid, record->time_ns);
	return err ? err
		   : cprof_process_fork_thread(process, (pid_t)record->tid,
					       (pid_t)record->fork.ptid);
}

/* Whoever had the id before has ended. Its first thread has an event of its own, as all that are created. */
static struct cprof_error *on_child(struct cpu *cpu, const struct cprof_perf_record *record)
{
	const struct cprof_process *parent =
		cprof_session_process(cpu->session, (pid_t)record->fork.ppid);
	if (!parent)
		return NULL;
	if (cprof_session_n_children(cpu->session) >= CPU_CHILDREN_MAX) {
		cpu->children_missed++;
		return NULL;
	}
	struct cprof_error *err = cprof_session_fork(cpu->session, parent, (pid_t)record->pid);
	if (!err && !cpu->event.is_clock)
		err = cprof_cpu_weight_inherit(&cpu->weight, (pid_t)record->tid, record->time_ns);
	return err;
}

static bool is_child(const struct cpu *cpu, const struct cprof_process *process)
{
	for (size_t i = 0; i < cpu->run->n_targets; i++) {
		if (cpu->run->targets[i] == process->target)
			return false;
	}
	return true;
}

/* One that may not be looked into any more (set-user-ID) is not sampled by the kernel either. */
static struct cprof_error *on_exec(struct cpu *cpu, struct cprof_process *process)
{
	cprof_contexts_forget(cpu->contexts, process);
	cprof_error_free(cprof_perf_source_set_place(cpu->source, process->target, NULL));
	struct cprof_error *err = cprof_session_exec(cpu->session, process);
	if (err && err->code == CPROF_ERR_DENIED && is_child(cpu, process)) {
		cprof_error_free(err);
		process->started = false;
		return NULL;
	}
	return err ? err : open_modules(cpu, process);
}

struct cprof_error *cpu_on_record(struct cpu *cpu, struct cprof_process *process,
				  const struct cprof_perf_record *record)
{
	if (process->target->exited && record->time_ns > process->target->exited_mono_ns)
		return NULL; /* somebody else who got the id */
	switch (record->kind) {
	case CPROF_PERF_EXEC:
		return on_exec(cpu, process);
	case CPROF_PERF_EXIT:
		if (record->tid == record->pid && is_child(cpu, process))
			cprof_target_children_ended(process->target);
		return NULL;
	case CPROF_PERF_SAMPLE:
		/* Some events count already while others are being opened. */
		if (!process->started || record->time_ns < cpu->run->window->start_mono_ns)
			return NULL;
		return on_sample(cpu, process, record);
	case CPROF_PERF_MAP:
		return process->started ? on_map(cpu, process, record) : NULL;
	case CPROF_PERF_COMM:
		return cprof_process_name_thread(process, (pid_t)record->tid, record->comm);
	case CPROF_PERF_FORK:
		if (record->tid ==
		    record->pid) { /* not a thread of it, but a process with its id */
			cprof_target_replaced(process->target, record->time_ns);
			return NULL;
		}
		return on_thread(cpu, process, record);
	default:
		return NULL;
	}
}

static struct cprof_error *on_record(void *ctx, const struct cprof_perf_record *record)
{
	struct cpu *cpu = ctx;
	struct cprof_process *process = cprof_session_process(cpu->session, (pid_t)record->pid);
	if (cpu->run->children && record->kind == CPROF_PERF_FORK && record->tid == record->pid &&
	    (!process || is_child(cpu, process)))
		return on_child(cpu, record);
	/* NULL: somebody else's mapping, name or fork */
	return process ? cpu_on_record(cpu, process, record) : NULL;
}

/* ---- the window ---- */

static void count_threads(struct cpu *cpu)
{
	uint64_t n = 0;
	for (size_t i = 0; i < cpu->run->n_targets; i++) {
		pid_t *tids = NULL;
		size_t more = 0;
		if (!cpu->run->targets[i]->exited)
			cprof_error_free(cprof_target_threads(cpu->run->targets[i], &tids, &more));
		free(tids);
		n += more;
	}
	if (n)
		cpu->run->log->counts.threads = n;
}

static struct cprof_error *drain(struct cpu *cpu, uint64_t until_ns)
{
	struct cprof_error *err = cprof_perf_source_drain(cpu->source, until_ns, on_record, cpu);
	cpu->run->log->counts.lost = cpu->source->lost_records;
	if (cpu->source->lost_other == cpu->lost_other)
		return err;
	/* A busy neighbour made us miss mappings, maybe of ours. */
	cpu->lost_other = cpu->source->lost_other;
	for (size_t i = 0; !err && i < cpu->run->n_targets; i++)
		err = cprof_process_refresh(cprof_session_process_at(cpu->session, i),
					    CPROF_NS_PER_S);
	return err;
}

/* Ten thousand modules take a second: what is sampled meanwhile would not all fit into the rings. */
static struct cprof_error *open_first_modules(struct cpu *cpu, struct cprof_process *process)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < process->maps.n_sorted; i++) {
		err = open_module(cpu, process, process->maps.sorted[i]);
		if (!err && i % OPENED_BETWEEN == OPENED_BETWEEN - 1)
			err = cpu->drain(cpu, cprof_clock_mono_ns());
	}
	return err;
}

/* What was started while events were being opened, whose records nobody could place yet. */
static struct cprof_error *adopt_children(struct cpu *cpu, struct cprof_process *parent)
{
	CPROF_AUTO(free) pid_t *pids = NULL;
	size_t n;
	struct cprof_error *err = NULL;
	cprof_target_children_list(parent->target->pid, &pids, &n);
	for (size_t i = 0; !err && i < n; i++) {
		if (pids[i] == getpid() || cprof_session_process(cpu->session, pids[i]))
			continue;
		err = cprof_session_fork(cpu->session, parent, pids[i]);
		if (!err) /* it may run another program by now */
			err = cprof_process_refresh(cprof_session_process(cpu->session, pids[i]),
						    0);
	}
	return err;
}

static struct cprof_error *read_targets(struct cpu *cpu)
{
	struct cprof_error *err = cprof_session_read_targets(cpu->session);
	for (size_t i = 0; !err && cpu->run->children && i < cpu->run->n_targets; i++) {
		struct cprof_process *process = cprof_session_process_at(cpu->session, i);
		if (process->started)
			err = adopt_children(cpu, process);
	}
	return err;
}

/* Until there is something to do besides reading rings. */
static uint64_t wait_ns(const struct cpu *cpu)
{
	/* A child may be gone soon, and some of its files with it. */
	uint64_t most = cpu->source->opener->follow || cpu->run->children ? FOLLOW_NS : WAIT_NS;
	uint64_t look = cpu->counter.n
				? cprof_cpu_weight_wait_ns(&cpu->weight, cprof_clock_mono_ns())
				: most;
	return look < most ? look : most;
}

static bool ring_fills_up(const struct cpu *cpu)
{
	for (size_t i = 0; i < cpu->source->n_rings; i++) {
		if (cpu->source->poll[i].revents & POLLIN)
			return true;
	}
	return false;
}

/* Is the event as frequent as it was? */
static struct cprof_error *look_at_period(struct cpu *cpu)
{
	uint64_t period, now = cprof_clock_mono_ns();
	if (!cpu->counter.n ||
	    (cprof_cpu_weight_wait_ns(&cpu->weight, now) && !ring_fills_up(cpu)) ||
	    !cprof_cpu_weight_look(&cpu->weight, now, cprof_perf_counter_read(&cpu->counter),
				   &period))
		return NULL;
	cprof_perf_source_set_period(cpu->source, period);
	return cprof_cpu_weight_changed(&cpu->weight, cprof_clock_mono_ns(), period);
}

/* -hz is meant for each processor that works: as many as there are, or fewer threads. */
static double samples_per_second(const struct cpu *cpu)
{
	CPROF_AUTO(free) int *cpus = NULL;
	size_t n = 1;
	cprof_error_free(cprof_perf_host_cpus(&cpus, &n));
	if (cpu->counter.n && cpu->counter.n < n)
		n = cpu->counter.n;
	return cpu->request->rate_hz * (double)n;
}

/* Does it cost too much? */
static struct cprof_error *keep_pace(struct cpu *cpu)
{
	struct cprof_sample_pace *pace = &cpu->pace.sample;
	const uint64_t now = cprof_clock_mono_ns();
	if (!cprof_cpu_pace_look(&cpu->pace, &cpu->run->log->counts, now))
		return NULL;
	if (!cpu->event.is_clock) { /* its period follows that */
		cpu->weight.rate_hz =
			samples_per_second(cpu) * (double)pace->base / (double)pace->period;
		return NULL;
	}
	cprof_perf_source_set_period(cpu->source, pace->period);
	return cprof_cpu_weight_changed(&cpu->weight, cprof_clock_mono_ns(), pace->period);
}

/* What the samples are held against. */
void cpu_stop_counting(struct cpu *cpu)
{
	cpu->counted = cprof_perf_counter_read(&cpu->counter);
	cprof_cpu_account_stop(&cpu->account);
	cprof_cpu_idle_stop(&cpu->idle, cpu->run);
}

static struct cprof_error *look_for_context(struct cpu *cpu, struct cprof_process *process)
{
	struct cprof_context_place place;
	bool is_new;
	struct cprof_error *err = cprof_contexts_look(cpu->contexts, process, &is_new, &place);
	if (err || !is_new)
		return err;
	err = cprof_perf_source_set_place(cpu->source, process->target, &place);
	if (err && err->code != CPROF_ERR_NO_MEMORY) {
		cprof_contexts_refused(cpu->contexts, err);
		err = NULL;
	}
	return err;
}

struct cprof_error *cpu_look_for_contexts(struct cpu *cpu)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; cpu->contexts && !err && i < cpu->run->n_targets; i++)
		err = look_for_context(cpu, cprof_session_process_at(cpu->session, i));
	return err;
}

/* Before the window, or its first samples would be without: it takes a moment until contexts are read. */
static struct cprof_error *expect_contexts(struct cpu *cpu)
{
	bool expected = false;
	for (size_t i = 0; i < cpu->run->n_targets; i++)
		expected |= cprof_contexts_expected(cpu->contexts, cpu->run->targets[i]);
	struct cprof_error *err = expected ? read_targets(cpu) : NULL;
	return !err && expected ? cpu_look_for_contexts(cpu) : err;
}

struct cprof_error *cpu_begin(struct cpu *cpu)
{
	struct cprof_error *err = expect_contexts(cpu);
	if (err)
		return err;
	cprof_cpu_idle_start(&cpu->idle, cpu->run);
	cprof_window_start(cpu->run->window);
	cprof_cpu_account_start(&cpu->account, cpu->run->targets, cpu->run->n_targets,
				cpu->source->kernel_excluded);
	err = read_targets(cpu);
	for (size_t i = 0; !err && i < cpu->run->n_targets; i++)
		err = open_first_modules(cpu, cprof_session_process_at(cpu->session, i));
	return err ? err : cpu_look_for_contexts(cpu);
}

static struct cprof_error *sample(struct cpu *cpu)
{
	struct cprof_window *window = cpu->run->window;
	struct cprof_perf_source *source = cpu->source;
	uint64_t counted_ns = 0;

	/* First of all: what is mapped from now on is told, and what was before is read after. */
	cprof_perf_source_enable(source);
	cprof_perf_counter_start(&cpu->counter);
	cprof_cpu_weight_start(&cpu->weight, cprof_clock_mono_ns());
	cprof_cpu_pace_start(&cpu->pace, cpu->request->overhead, cpu->request->rate_hz,
			     cpu->request->stack_bytes, cprof_clock_mono_ns());
	struct cprof_error *err = cpu_begin(cpu);
	while (!err && cprof_window_wait(window, source->poll, source->n_rings, wait_ns(cpu),
					 &cpu->run->log->counts)) {
		uint64_t now = cprof_clock_mono_ns();
		err = look_at_period(cpu);
		if (!err)
			err = keep_pace(cpu);
		if (!err && source->opener->follow)
			err = source->opener->follow(source);
		if (!err)
			err = drain(cpu, now);
		if (!err)
			err = cpu_look_for_contexts(cpu);
		if (!err)
			err = cprof_session_turn(cpu->session, now);
		if (!err)
			err = cprof_snapshots_take(window->snapshots, cpu_finish_so_far, cpu);
		cprof_session_prefetch(cpu->session);
		if (window->progress && now - counted_ns >= window->progress_every_ns / 2) {
			count_threads(cpu);
			counted_ns = now;
		}
	}
	cprof_perf_source_disable(source);
	cpu_stop_counting(cpu);
	if (!err)
		err = drain(cpu, UINT64_MAX);
	/* Only now: asking the kernel interrupts every CPU. */
	cpu->run->log->counts.lost = cprof_perf_source_lost(source);
	return err;
}

/* ---- opening ---- */

/* Until it has been counted for a moment: what happens at most as often as calls do, or as cycles. */
static uint64_t first_period(const struct cpu *cpu)
{
	bool software =
		cpu->event.type == PERF_TYPE_SOFTWARE || cpu->event.type == PERF_TYPE_TRACEPOINT;
	return software ? FIRST_OF_CALLS : FIRST_OF_CYCLES;
}

struct cprof_perf_source_request cpu_source_request(const struct cpu *cpu)
{
	const struct cprof_cpu_request *wanted = cpu->request;
	struct cprof_perf_source_request request = {
		.name = wanted->event,
		.stack_bytes = wanted->stack_bytes,
		.rate_hz = wanted->rate_hz,
		.kernel_frames = !wanted->user_only,
		.strategy = wanted->strategy,
		.children = cpu->run->children,
		.contexts = cpu->run->request_labels.what != CPROF_REQUEST_LABELS_OFF,
		.targets = cpu->run->targets,
		.n_targets = cpu->run->n_targets,
		.switches = &cpu->switches,
		.log = cpu->run->log,
	};
	struct perf_event_attr *attr = &request.attr;
	attr->type = cpu->event.type;
	attr->config = cpu->event.config;
	attr->config1 = cpu->event.config1;
	attr->config2 = cpu->event.config2;
	attr->exclude_kernel = cpu->event.user_only;
	attr->sample_period = cpu->event.is_clock ? (uint64_t)cpu->period : first_period(cpu);
	return request;
}

/* Its files are those of the session, which need not open them again. One that is about to run another program has none of it yet. */
struct cprof_error *cpu_find_switches(struct cpu *cpu)
{
	struct cprof_process *process = cprof_session_process_at(cpu->session, 0);
	if (cpu->run->n_targets != 1 || cpu->run->targets[0]->launched)
		return NULL;
	struct cprof_error *err = cprof_process_refresh(process, 0);
	if (err) /* whoever reads them next is the first */
		process->refreshed_mono_ns = 0;
	else
		err = cprof_other_switches_find(&cpu->switches, &process->maps,
						cprof_session_modules(cpu->session));
	/* Who may not look there finds out from what needs it. */
	if (err && err->code != CPROF_ERR_NO_MEMORY) {
		cprof_error_free(err);
		err = NULL;
	}
	return err;
}

static struct cprof_error *open_source(struct cpu *cpu)
{
	struct cprof_error *err = cpu_find_switches(cpu);
	if (err)
		return err;
	const struct cprof_perf_source_request request = cpu_source_request(cpu);
	return cprof_perf_source_open(&request, &cpu->source);
}

static struct cprof_error *open_counter(struct cpu *cpu)
{
	cpu->weights = &cpu->weight;
	if (cpu->event.is_clock)
		return cprof_cpu_weight_init(&cpu->weight, 0, (uint64_t)cpu->period);
	const struct perf_event_attr attr = cprof_perf_source_attr(cpu->source, false);
	struct cprof_error *err = cprof_perf_counter_open(
		&attr, cpu->run->targets, cpu->run->n_targets, cpu->run->children, &cpu->counter);
	if (err && err->code != CPROF_ERR_NO_MEMORY && err->code != CPROF_ERR_NO_TARGET) {
		cprof_run_log_note(cpu->run->log, CPROF_NOTE_WARNING,
				   "what happened could not be counted besides being sampled, so "
				   "the sum is an estimate: %s",
				   err->message);
		cprof_error_free(err);
		err = NULL;
	}
	return err ? err
		   : cprof_cpu_weight_init(&cpu->weight, samples_per_second(cpu),
					   first_period(cpu));
}

/* What was counted is of all threads: those that were chosen have the share of it that their samples have. */
static uint64_t counted_in_chosen(const struct cpu *cpu)
{
	const double all = (double)cpu->kept + (double)cpu->left_out;
	if (!cpu->left_out)
		return cpu->counted;
	return (uint64_t)((double)cpu->counted * ((double)cpu->kept / all));
}

/* Of the last minute nobody has an account to hold samples against. */
static struct cprof_error *look_back(struct cpu *cpu)
{
	if (!cpu->run->ring)
		return NULL;
	cpu->account.known = false;
	cpu->idle.children_ns = 0;
	cpu->counted = 0;
	cprof_session_look_back(cpu->session);
	return cprof_session_fill(cpu->session);
}

struct cprof_error *cpu_finish(struct cpu *cpu, struct cprof_profile **ret_profile)
{
	const char *event = cpu->request->event;
	struct cprof_error *err = look_back(cpu);
	if (err)
		return err;
	cpu_note_end(cpu);
	cprof_contexts_tell(cpu->contexts);
	if (cpu->event.is_clock)
		return cprof_session_finish(cpu->session, "cpu", "nanoseconds",
					    (int64_t)cpu_period_now(cpu), "cpu", ret_profile);
	err = cprof_session_finish(cpu->session, event, "count", 1, event, ret_profile);
	if (!err && cpu->counter.n && !cpu->run->ring)
		cprof_cpu_weight_scale(*ret_profile, 1, counted_in_chosen(cpu));
	return err;
}

struct cprof_error *cpu_finish_so_far(void *ctx, struct cprof_profile **ret_profile)
{
	cpu_stop_counting(ctx); /* of a copy of this process: the recording itself goes on */
	return cpu_finish(ctx, ret_profile);
}

struct cprof_error *cpu_prepare_session(struct cpu *cpu)
{
	const struct cprof_builder_type clock[] = { { "samples", "count" },
						    { "cpu", "nanoseconds" } };
	const struct cprof_builder_type other[] = { { "samples", "count" },
						    { cpu->request->event, "count" } };
	struct cprof_error *err = cprof_session_prepare(
		cpu->run, cpu->event.is_clock ? clock : other, 2, &cpu->session);
	return err ? err
		   : cprof_contexts_new(cpu->run, cprof_session_modules(cpu->session),
					&cpu->contexts);
}

struct cprof_error *cprof_cpu_run(const struct cprof_run *run,
				  const struct cprof_cpu_request *request,
				  struct cprof_profile **ret_profile)
{
	struct cpu cpu = { .run = run, .request = request, .drain = drain };
	struct cprof_error *err = cprof_perf_event_name_find(request->event, &cpu.event);
	if (err)
		return err;
	cpu.period = (int64_t)((double)CPROF_NS_PER_S / request->rate_hz + 0.5);
	err = cpu_prepare_session(&cpu);
	if (!err)
		err = open_source(&cpu);
	if (!err)
		err = open_counter(&cpu);
	if (!err)
		err = sample(&cpu);
	*ret_profile = NULL;
	if (!err && cprof_snapshots_want_last(run->window->snapshots))
		err = cpu_finish(&cpu, ret_profile);
	cprof_contexts_free(cpu.contexts);
	cprof_session_free(cpu.session);
	cprof_perf_counter_close(&cpu.counter);
	cprof_cpu_weight_deinit(&cpu.weight);
	cprof_perf_source_close(cpu.source);
	return err;
}
