/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cpu/cpu_run_feed.h"

#include <stdlib.h>

#include "attach/cpu/cpu_run_impl.h"
#include "base/clock.h"

struct cprof_cpu_feed {
	struct cpu cpu; /* first: a taker is found from it */
	struct cprof_cpu_feed_taker taker;
	struct cprof_process *process; /* borrowed; the session's */
};

static struct cprof_error *take(struct cpu *cpu, const struct cprof_perf_record *record,
				const struct cprof_session_stack *stack)
{
	const struct cprof_cpu_feed *feed = (const struct cprof_cpu_feed *)cpu;
	const struct cprof_cpu_feed_sample sample = {
		.tid = (pid_t)record->tid,
		.mono_ns = record->time_ns,
		.stack = stack,
		.context = record->sample.context,
		.n_context = record->sample.n_context,
	};
	return feed->taker.sample(feed->taker.ctx, &sample);
}

static struct cprof_error *on_record(void *ctx, const struct cprof_perf_record *record)
{
	struct cprof_cpu_feed *feed = ctx;
	if ((pid_t)record->pid != feed->process->target->pid)
		return NULL;
	const bool born = record->kind == CPROF_PERF_FORK;
	if (feed->taker.thread && (born || record->kind == CPROF_PERF_EXIT))
		feed->taker.thread(feed->taker.ctx, (pid_t)record->tid, born, record->time_ns);
	return cpu_on_record(&feed->cpu, feed->process, record);
}

struct cprof_error *cprof_cpu_feed_open(const struct cprof_run *run,
					const struct cprof_cpu_request *request,
					struct cprof_session *session,
					const struct cprof_cpu_feed_taker *taker,
					struct cprof_cpu_feed **ret_feed)
{
	struct cprof_cpu_feed *feed = calloc(1, sizeof(*feed));
	if (!feed)
		return cprof_error_no_memory();
	feed->taker = *taker;
	feed->process = cprof_session_process(session, run->targets[0]->pid);
	feed->cpu =
		(struct cpu){ .run = run, .request = request, .session = session, .take = take };
	feed->cpu.period = (int64_t)((double)CPROF_NS_PER_S / request->rate_hz + 0.5);
	feed->cpu.weights = &feed->cpu.weight;
	struct cprof_error *err =
		cprof_cpu_weight_init(&feed->cpu.weight, 0, (uint64_t)feed->cpu.period);
	if (!err)
		err = cprof_perf_event_name_find(request->event, &feed->cpu.event);
	if (!err)
		err = cpu_find_switches(&feed->cpu);
	if (!err) {
		const struct cprof_perf_source_request source = cpu_source_request(&feed->cpu);
		err = cprof_perf_source_open(&source, &feed->cpu.source);
	}
	if (err) {
		cprof_cpu_feed_close(feed);
		return err;
	}
	*ret_feed = feed;
	return NULL;
}

void cprof_cpu_feed_close(struct cprof_cpu_feed *feed)
{
	if (!feed)
		return;
	cprof_perf_source_close(feed->cpu.source);
	cprof_cpu_weight_deinit(&feed->cpu.weight);
	free(feed);
}

struct cprof_error *cprof_cpu_feed_set_place(struct cprof_cpu_feed *feed,
					     const struct cprof_context_place *place)
{
	return cprof_perf_source_set_place(feed->cpu.source, feed->process->target, place);
}

void cprof_cpu_feed_start(struct cprof_cpu_feed *feed)
{
	cprof_perf_source_enable(feed->cpu.source);
}

size_t cprof_cpu_feed_fds(const struct cprof_cpu_feed *feed, struct pollfd *fds, size_t cap)
{
	size_t n = 0;
	for (; n < feed->cpu.source->n_rings && n < cap; n++)
		fds[n] = feed->cpu.source->poll[n];
	return n;
}

/* A busy neighbour made us miss mappings, maybe of ours. */
static struct cprof_error *read_mappings(struct cprof_cpu_feed *feed)
{
	feed->cpu.lost_other = feed->cpu.source->lost_other;
	return cprof_process_refresh(feed->process, CPROF_NS_PER_S);
}

struct cprof_error *cprof_cpu_feed_drain(struct cprof_cpu_feed *feed, uint64_t until_ns)
{
	struct cprof_perf_source *source = feed->cpu.source;
	struct cprof_error *err = source->opener->follow ? source->opener->follow(source) : NULL;
	if (!err)
		err = cprof_perf_source_drain(source, until_ns, on_record, feed);
	if (!err && source->lost_other != feed->cpu.lost_other)
		err = read_mappings(feed);
	return err;
}

void cprof_cpu_feed_stop(struct cprof_cpu_feed *feed)
{
	cprof_perf_source_disable(feed->cpu.source);
}

uint64_t cprof_cpu_feed_lost(const struct cprof_cpu_feed *feed)
{
	return cprof_perf_source_lost(feed->cpu.source);
}

const char *cprof_cpu_feed_way(const struct cprof_cpu_feed *feed, bool *ret_kernel)
{
	*ret_kernel = !feed->cpu.source->kernel_excluded;
	return feed->cpu.source->opener->name;
}
