/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/perf_source_context.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "attach/perf/perf_event.h"
#include "cprof/arch.h"

#define REGS_MAX 64

struct cprof_perf_source_context {
	int fd;      /* owned */
	uint64_t id; /* that its records bear */
	struct cprof_perf_layout layout;

	bool has; /* one that no sample has got yet */
	uint32_t tid;
	uint64_t regs[REGS_MAX];
	size_t n;
	_Alignas(8) uint8_t bytes[sizeof(struct cprof_context_event) + 8];
};

static struct cprof_error *set_up(struct cprof_perf_source_context *context,
				  struct cprof_bpf_context *program, int cpu, int ring_fd)
{
	/* Up to the time as those of the samples are, or the ring could not be merged with others. */
	struct perf_event_attr attr =
		cprof_perf_event_bpf_output(PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP);
	context->layout = (struct cprof_perf_layout){ .sample_type = attr.sample_type,
						      .n_regs = cprof_arch_host()->n_perf_regs };
	context->fd = cprof_perf_event_open(&attr, -1, cpu, -1);
	if (context->fd < 0)
		return cprof_perf_event_refused(errno, "contexts of threads");
	if (ioctl(context->fd, PERF_EVENT_IOC_SET_OUTPUT, ring_fd) < 0 ||
	    ioctl(context->fd, PERF_EVENT_IOC_ID, &context->id) < 0)
		return cprof_error_os(errno, "let contexts of threads into the ring of samples");
	return cprof_bpf_context_ring(program, cpu, context->fd);
}

struct cprof_error *cprof_perf_source_context_open(struct cprof_bpf_context *program, int cpu,
						   int ring_fd,
						   struct cprof_perf_source_context **ret)
{
	struct cprof_perf_source_context *context = calloc(1, sizeof(*context));
	if (!context)
		return cprof_error_no_memory();
	context->fd = -1;
	struct cprof_error *err = set_up(context, program, cpu, ring_fd);
	if (err) {
		cprof_perf_source_context_free(context);
		return err;
	}
	*ret = context;
	return NULL;
}

void cprof_perf_source_context_free(struct cprof_perf_source_context *context)
{
	if (!context)
		return;
	if (context->fd >= 0)
		close(context->fd);
	free(context);
}

static bool is_ours(const struct cprof_perf_source_context *context,
		    const struct perf_event_header *record)
{
	uint64_t id;
	if (record->type != PERF_RECORD_SAMPLE || record->size < sizeof(*record) + sizeof(id))
		return false;
	memcpy(&id, record + 1, sizeof(id));
	return id == context->id;
}

bool cprof_perf_source_context_take(struct cprof_perf_source_context *context,
				    const struct perf_event_header *header)
{
	struct cprof_perf_record record;
	if (!context || !is_ours(context, header))
		return false;
	context->has = false;
	struct cprof_error *err = cprof_perf_record_decode(&context->layout, header, &record);
	if (!err && record.kind == CPROF_PERF_SAMPLE && record.sample.regs &&
	    record.sample.n_raw <= sizeof(context->bytes) && context->layout.n_regs <= REGS_MAX) {
		context->has = true;
		context->tid = record.tid;
		context->n = record.sample.n_raw;
		memcpy(context->regs, record.sample.regs,
		       context->layout.n_regs * sizeof(context->regs[0]));
		memcpy(context->bytes, record.sample.raw, context->n);
	}
	cprof_error_free(err);
	return true;
}

void cprof_perf_source_context_give(struct cprof_perf_source_context *context,
				    struct cprof_perf_record *sample)
{
	if (!context || !context->has)
		return;
	context->has = false;
	if (sample->tid != context->tid || !sample->sample.regs ||
	    memcmp(sample->sample.regs, context->regs,
		   context->layout.n_regs * sizeof(context->regs[0])) != 0)
		return;
	sample->sample.context = context->bytes;
	sample->sample.n_context = context->n;
}
