/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cpu/cpu_run_shared.h"

#include <stdlib.h>
#include <string.h>

#include "attach/cpu/cpu_run_impl.h"
#include "attach/perf/bpf_members.h"
#include "attach/run/run_runner.h"
#include "attach/run/session_prefetch.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/search.h"

#define WAIT_NS       (500 * 1000000ull)
#define ASKS_MAX      64
#define BUDGET_FACTOR 16 /* of what files may cost: they are many processes' */

/* One process, with all that a CPU profile of it alone has. */
struct part {
	struct cprof_target *target; /* owned */
	struct cprof_run run;
	struct cprof_run_log log;
	struct cprof_window window;
	struct cpu cpu;
	struct cprof_error *failure; /* owned; why it is not sampled any more */
	uint64_t lost_before;
	unsigned users;
};

struct cprof_cpu_shared_stream {
	const struct cprof_cpu_shared *shared;
	struct cprof_perf_event_name event;
	int64_t period;
	struct cprof_cpu_weight weight;
	struct cprof_cpu_pace pace;
	struct cprof_perf_source *source;
	struct cprof_bpf_members members;
	struct cprof_modules modules;
	struct cprof_session_prefetch prefetch;
	struct part **parts; /* owned; ascending by id */
	size_t n_parts, cap_parts;
	struct pollfd *fds; /* owned; rings, then processes */
	size_t cap_fds;
	struct cprof_snapshots snapshots;
	struct cprof_snapshot_ask asks[ASKS_MAX]; /* that wait for a copy */
	size_t n_asks;
	struct cprof_window window;
	struct cprof_run_log log;
	uint64_t lost_other;
	struct cprof_counts gone; /* of parts that are here no more */
};

/* ---- parts ---- */

static size_t place_of(const struct cprof_cpu_shared_stream *stream, pid_t pid)
{
	return CPROF_SEARCH(i, stream->n_parts, stream->parts[i]->target->pid < pid);
}

/* Of those that are here and of those that were. */
static void count_all(struct cprof_cpu_shared_stream *stream)
{
	stream->log.counts = stream->gone;
	for (size_t i = 0; i < stream->n_parts; i++)
		cprof_counts_add(&stream->log.counts, &stream->parts[i]->log.counts);
	/* Each has all that were lost while it was there: nobody knows whose they were. */
	stream->log.counts.lost = stream->source->lost_records;
	stream->log.counts.slowed = stream->pace.sample.period > stream->pace.sample.base;
}

static struct part *find(const struct cprof_cpu_shared_stream *stream, pid_t pid)
{
	const size_t at = place_of(stream, pid);
	return at < stream->n_parts && stream->parts[at]->target->pid == pid ? stream->parts[at]
									     : NULL;
}

static void part_free(struct part *part)
{
	cprof_contexts_free(part->cpu.contexts);
	cprof_session_free(part->cpu.session);
	cprof_window_deinit(&part->window);
	cprof_run_log_deinit(&part->log);
	cprof_error_free(part->failure);
	cprof_target_close(part->target);
	free(part);
}

static void drop(struct cprof_cpu_shared_stream *stream, struct part *part)
{
	const size_t at = place_of(stream, part->target->pid);
	cprof_bpf_members_remove(&stream->members, part->target);
	cprof_error_free(cprof_perf_source_set_place(stream->source, part->target, NULL));
	cprof_counts_add(&stream->gone, &part->log.counts);
	stream->n_parts--;
	memmove(stream->parts + at, stream->parts + at + 1,
		(stream->n_parts - at) * sizeof(*stream->parts));
	part_free(part);
}

static struct cprof_error *has_ended(pid_t pid)
{
	return cprof_error_new(CPROF_ERR_NO_TARGET, "process %d has ended", (int)pid);
}

/* ---- the stream ---- */

/* What goes wrong with one of them is none of the others' business. */
static struct cprof_error *on_record(void *ctx, const struct cprof_perf_record *record)
{
	struct cprof_cpu_shared_stream *stream = ctx;
	struct part *part = find(stream, (pid_t)record->pid);
	struct cprof_process *process =
		part && !part->failure
			? cprof_session_process(part->cpu.session, (pid_t)record->pid)
			: NULL;
	if (process)
		part->failure = cpu_on_record(&part->cpu, process, record);
	return NULL;
}

/* A busy neighbour made us miss mappings, maybe of ours. */
static void read_mappings(struct cprof_cpu_shared_stream *stream)
{
	stream->lost_other = stream->source->lost_other;
	for (size_t i = 0; i < stream->n_parts; i++) {
		struct part *part = stream->parts[i];
		if (!part->failure)
			part->failure = cprof_process_refresh(
				cprof_session_process_at(part->cpu.session, 0), CPROF_NS_PER_S);
	}
}

static struct cprof_error *drain(struct cprof_cpu_shared_stream *stream, uint64_t until_ns)
{
	struct cprof_perf_source *source = stream->source;
	struct cprof_error *err = cprof_perf_source_drain(source, until_ns, on_record, stream);
	for (size_t i = 0; i < stream->n_parts; i++)
		stream->parts[i]->log.counts.lost =
			source->lost_records - stream->parts[i]->lost_before;
	if (!err && source->lost_other != stream->lost_other)
		read_mappings(stream);
	return err;
}

static struct cprof_error *drain_for(struct cpu *cpu, uint64_t until_ns)
{
	return drain(cpu->stream, until_ns);
}

/* ---- coming and going ---- */

static void fill_part(struct cprof_cpu_shared_stream *stream, struct part *part)
{
	const struct cprof_cpu_shared *shared = stream->shared;
	part->window = (struct cprof_window){ .stop_fd = -1, .snapshots = &stream->snapshots };
	part->run = (struct cprof_run){
		.targets = &part->target,
		.n_targets = 1,
		.window = &part->window,
		.log = &part->log,
		.naming = shared->naming,
		.threads = shared->threads,
		.request_labels = shared->request_labels,
		.command_line = shared->command_line,
		.modules = &stream->modules,
		.prefetch = &stream->prefetch,
	};
	part->cpu = (struct cpu){
		.run = &part->run,
		.request = shared->request,
		.event = stream->event,
		.period = stream->period,
		.source = stream->source,
		.weights = &stream->weight,
		.drain = drain_for,
		.stream = stream,
	};
	part->lost_before = stream->source->lost_records;
}

/* Samples may come from now on; they count once its window has begun. */
static struct cprof_error *begin(struct cprof_cpu_shared_stream *stream, struct part *part)
{
	struct cprof_error *err = cprof_run_check_runner(&part->run, CPROF_RUN_COUNTS);
	if (!err)
		err = cpu_prepare_session(&part->cpu);
	if (!err)
		err = cprof_bpf_members_add(&stream->members, part->target);
	return err ? err : cpu_begin(&part->cpu);
}

static struct cprof_error *insert(struct cprof_cpu_shared_stream *stream,
				  struct cprof_target *target, struct part **ret_part)
{
	struct part *part = calloc(1, sizeof(*part));
	if (!part || !CPROF_ARRAY_ROOM(stream->parts, stream->n_parts, stream->cap_parts, 1)) {
		free(part);
		cprof_target_close(target);
		return cprof_error_no_memory();
	}
	const size_t at = place_of(stream, target->pid);
	memmove(stream->parts + at + 1, stream->parts + at,
		(stream->n_parts - at) * sizeof(*stream->parts));
	stream->parts[at] = part;
	stream->n_parts++;
	part->target = target;
	fill_part(stream, part);
	*ret_part = part;
	return NULL;
}

static struct cprof_error *add(struct cprof_cpu_shared_stream *stream,
			       const struct cprof_cpu_shared_who *who, struct part **ret_part)
{
	struct cprof_target *target;
	struct part *part = find(stream, who->pid);
	if (part && part->target->start_ticks == who->start_ticks) {
		*ret_part = part;
		return NULL;
	}
	if (part) /* whoever had the id before */
		drop(stream, part);
	struct cprof_error *err = cprof_target_open(who->pid, &target);
	if (err)
		return err;
	if (target->start_ticks != who->start_ticks) {
		cprof_target_close(target);
		return has_ended(who->pid);
	}
	err = insert(stream, target, &part);
	if (err)
		return err;
	err = begin(stream, part);
	if (err)
		drop(stream, part);
	else
		*ret_part = part;
	return err;
}

/* ---- asks ---- */

static struct cprof_error *give_form(void *ctx, const uint8_t *ask, size_t n,
				     struct cprof_profile *profile, struct cprof_buffer *out)
{
	const struct cprof_cpu_shared *shared = ctx;
	const size_t head = sizeof(struct cprof_cpu_shared_who);
	return shared->form(shared->form_ctx, ask + head, n - head, profile, out);
}

/* The part that is meant, where it can be profiled. */
static struct cprof_error *choose(const struct cprof_cpu_shared_stream *stream,
				  const struct cprof_cpu_shared_who *who, struct part **ret_part)
{
	struct part *part = find(stream, who->pid);
	if (!part || part->target->start_ticks != who->start_ticks)
		return has_ended(who->pid);
	*ret_part = part;
	return part->failure ? cprof_error_copy(part->failure) : NULL;
}

static void leave(struct cprof_cpu_shared_stream *stream, const struct cprof_cpu_shared_who *who)
{
	struct part *part = find(stream, who->pid);
	if (!part || part->target->start_ticks != who->start_ticks)
		return;
	part->users -= part->users > 0;
	if (!part->users)
		drop(stream, part);
}

static void tell_counts(struct cprof_cpu_shared_stream *stream)
{
	const struct cprof_cpu_shared *shared = stream->shared;
	count_all(stream);
	if (shared->progress)
		shared->progress(shared->progress_ctx, &stream->window, &stream->log.counts);
}

static struct cprof_cpu_shared_who who_of(const struct cprof_snapshot_ask *ask)
{
	struct cprof_cpu_shared_who who;
	memcpy(&who, ask->bytes, sizeof(who));
	return who;
}

/* True: it is to be answered with a profile. What is only told, or cannot be had, is done with. */
static bool take_ask(struct cprof_cpu_shared_stream *stream, const struct cprof_snapshot_ask *ask)
{
	struct cprof_error *err = NULL;
	struct part *part = NULL;
	if (ask->n < sizeof(struct cprof_cpu_shared_who)) {
		if (ask->fd >= 0)
			cprof_snapshots_refuse(ask, cprof_error_new(CPROF_ERR_BAD_DATA,
								    "an ask of %zu bytes", ask->n));
		return false;
	}
	const struct cprof_cpu_shared_who who = who_of(ask);
	if (ask->fd < 0) {
		leave(stream, &who);
		return false;
	}
	if (who.what == CPROF_CPU_SHARED_BEGIN)
		err = add(stream, &who, &part);
	if (!err && part) /* somebody begins with it */
		part->users++;
	if (err)
		cprof_snapshots_refuse(ask, err);
	return !err;
}

/* Who wants the same as the first gets it from the same copy. */
static void answer_first(struct cprof_cpu_shared_stream *stream)
{
	struct cprof_snapshot_ask same[ASKS_MAX];
	const struct cprof_cpu_shared_who who = who_of(&stream->asks[0]);
	struct part *part = NULL;
	size_t n = 0, left = 0;
	for (size_t i = 0; i < stream->n_asks; i++) {
		const struct cprof_cpu_shared_who other = who_of(&stream->asks[i]);
		if (other.pid == who.pid && other.start_ticks == who.start_ticks)
			same[n++] = stream->asks[i];
		else
			stream->asks[left++] = stream->asks[i];
	}
	stream->n_asks = left;
	struct cprof_error *err = choose(stream, &who, &part);
	if (!err && part)
		err = cprof_snapshots_answer(&stream->snapshots, same, n, cpu_finish_so_far,
					     &part->cpu);
	else
		for (size_t i = 0; i < n; i++)
			cprof_snapshots_refuse(&same[i], cprof_error_copy(err));
	cprof_error_free(err);
}

static void answer_asks(struct cprof_cpu_shared_stream *stream)
{
	while (stream->n_asks < ASKS_MAX &&
	       cprof_snapshots_next(&stream->snapshots, &stream->asks[stream->n_asks]))
		stream->n_asks += take_ask(stream, &stream->asks[stream->n_asks]);
	if (stream->n_asks)
		tell_counts(stream);
	while (stream->n_asks && cprof_snapshots_place(&stream->snapshots))
		answer_first(stream);
}

/* ---- the loop ---- */

/* The rings', then the processes' descriptors. 0: no memory. */
static size_t gather(struct cprof_cpu_shared_stream *stream)
{
	const struct cprof_perf_source *source = stream->source;
	size_t n = source->n_rings;
	if (!CPROF_ARRAY_ROOM(stream->fds, 0, stream->cap_fds, n + stream->n_parts))
		return 0;
	memcpy(stream->fds, source->poll, n * sizeof(*stream->fds));
	for (size_t i = 0; i < stream->n_parts; i++) {
		const struct cprof_target *target = stream->parts[i]->target;
		stream->fds[n++] = (struct pollfd){ .fd = target->exited ? -1 : target->pidfd,
						    .events = POLLIN };
	}
	return n;
}

static void note_exits(struct cprof_cpu_shared_stream *stream)
{
	for (size_t i = 0; i < stream->n_parts; i++) {
		if (stream->fds[stream->source->n_rings + i].revents)
			cprof_target_ended(stream->parts[i]->target);
	}
}

/* Does it cost too much? */
static struct cprof_error *keep_pace(struct cprof_cpu_shared_stream *stream)
{
	count_all(stream);
	if (!cprof_cpu_pace_look(&stream->pace, &stream->log.counts, cprof_clock_mono_ns()))
		return NULL;
	cprof_perf_source_set_period(stream->source, stream->pace.sample.period);
	return cprof_cpu_weight_changed(&stream->weight, cprof_clock_mono_ns(),
					stream->pace.sample.period);
}

/* While there is nothing to be read. */
static void look_after(struct part *part)
{
	if (!part->failure)
		part->failure = cpu_look_for_contexts(&part->cpu);
	cprof_session_prefetch(part->cpu.session);
}

static struct cprof_error *sample(struct cprof_cpu_shared_stream *stream)
{
	const struct cprof_cpu_request *wanted = stream->shared->request;
	struct cprof_error *err = NULL;
	cprof_perf_source_enable(stream->source);
	cprof_window_start(&stream->window);
	cprof_cpu_pace_start(&stream->pace, wanted->overhead, wanted->rate_hz, wanted->stack_bytes,
			     cprof_clock_mono_ns());
	while (!err) {
		const size_t n = gather(stream);
		count_all(stream);
		if (!n)
			return cprof_error_no_memory();
		if (!cprof_window_wait(&stream->window, stream->fds, n, WAIT_NS,
				       &stream->log.counts))
			break;
		note_exits(stream);
		err = drain(stream, cprof_clock_mono_ns());
		if (!err)
			err = keep_pace(stream);
		if (!err)
			answer_asks(stream);
		for (size_t i = 0; i < stream->n_parts; i++)
			look_after(stream->parts[i]);
	}
	cprof_perf_source_disable(stream->source);
	tell_counts(stream);
	return err;
}

/* ---- life ---- */

static struct cprof_error *open_stream(struct cprof_cpu_shared_stream *stream)
{
	const struct cprof_cpu_request *wanted = stream->shared->request;
	struct cprof_error *err = cprof_perf_event_name_find(wanted->event, &stream->event);
	if (err)
		return err;
	if (!stream->event.is_clock)
		return cprof_error_new(CPROF_ERR_USAGE, "\"%s\" is no clock", wanted->event);
	stream->period = (int64_t)((double)CPROF_NS_PER_S / wanted->rate_hz + 0.5);
	err = cprof_cpu_weight_init(&stream->weight, 0, (uint64_t)stream->period);
	if (!err)
		err = cprof_bpf_members_open(&stream->members);
	if (err)
		return err;
	const struct cprof_run run = { .log = &stream->log,
				       .request_labels = stream->shared->request_labels };
	const struct cpu cpu = {
		.run = &run, .request = wanted, .event = stream->event, .period = stream->period
	};
	struct cprof_perf_source_request request = cpu_source_request(&cpu);
	request.strategy = "cpu";
	request.filter_fd = &stream->members.filter_fd;
	request.programs_fd = &stream->members.programs_fd;
	return cprof_perf_source_open(&request, &stream->source);
}

static void close_stream(struct cprof_cpu_shared_stream *stream)
{
	while (stream->n_parts)
		drop(stream, stream->parts[stream->n_parts - 1]);
	cprof_snapshots_end(&stream->snapshots);
	cprof_perf_source_close(stream->source);
	cprof_bpf_members_close(&stream->members);
	cprof_cpu_weight_deinit(&stream->weight);
	cprof_session_prefetch_deinit(&stream->prefetch);
	cprof_modules_deinit(&stream->modules);
	cprof_window_deinit(&stream->window);
	cprof_run_log_deinit(&stream->log);
	free(stream->parts);
	free(stream->fds);
}

bool cprof_cpu_run_can_share(const struct cprof_cpu_request *request)
{
	struct cprof_perf_event_name event;
	struct cprof_error *err = cprof_perf_event_name_find(request->event, &event);
	const bool known = !err;
	cprof_error_free(err);
	return known && event.is_clock &&
	       (strcmp(request->strategy, "auto") == 0 || strcmp(request->strategy, "cpu") == 0);
}

struct cprof_error *cprof_cpu_run_shared(const struct cprof_cpu_shared *shared)
{
	struct cprof_cpu_shared_stream stream = {
		.shared = shared,
		.members = { .map_fd = -1, .programs_fd = -1, .filter_fd = -1 },
		.snapshots = { .ask_fd = shared->ask_fd,
			       .form = give_form,
			       .form_ctx = (void *)(uintptr_t)shared },
		.window = { .stop_fd = shared->stop_fd,
			    .progress = shared->progress,
			    .progress_ctx = shared->progress_ctx,
			    .progress_every_ns = shared->progress_every_ns },
	};
	stream.window.snapshots = &stream.snapshots;
	cprof_modules_init(&stream.modules);
	stream.modules.budget.factor =
		(shared->naming.budget ? shared->naming.budget : 1) * BUDGET_FACTOR;
	struct cprof_error *err = open_stream(&stream);
	if (!err)
		err = sample(&stream);
	close_stream(&stream);
	return err;
}
