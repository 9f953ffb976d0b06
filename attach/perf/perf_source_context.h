/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/perf/perf_source_context.h - contexts of threads in a ring of samples: each as a record of its own, right before the sample that it is of.
 *
 * A sample's record has no room for what a BPF program has read; so the program writes through an event of its own into the ring of
 * samples. Which sample it belongs to is not guessed: it is the next one, of the same thread, with the same registers. Where either of the two was
 * lost there is no such pair; then the same registers mean that the thread has run no instruction of its own since, so its context is
 * still that one.
 */
#ifndef CPROF_ATTACH_PERF_PERF_SOURCE_CONTEXT_H
#define CPROF_ATTACH_PERF_PERF_SOURCE_CONTEXT_H

#include <linux/perf_event.h>
#include <stdbool.h>

#include "attach/perf/bpf_context.h"
#include "attach/perf/perf_record.h"
#include "cprof/error.h"

struct cprof_perf_source_context;

/*
 * An event on `cpu` that writes into the ring of `ring_fd`, for the program of `context`. Errors: DENIED,
 * UNSUPPORTED, OS, NO_MEMORY.
 */
struct cprof_error *cprof_perf_source_context_open(struct cprof_bpf_context *context, int cpu,
						   int ring_fd,
						   struct cprof_perf_source_context **ret);
void cprof_perf_source_context_free(struct cprof_perf_source_context *context);

/* Is it a record of such an event? Then what it says is kept for the sample that follows. `context` may be NULL, as below. */
bool cprof_perf_source_context_take(struct cprof_perf_source_context *context,
				    const struct perf_event_header *record);

/* The context of this sample into it, if there is one; borrowed until the next call. */
void cprof_perf_source_context_give(struct cprof_perf_source_context *context,
				    struct cprof_perf_record *sample);

#endif
