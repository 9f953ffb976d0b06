/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perf_source.h, cprof_perf_source_set_place(): a source begins to read contexts when the first place is known, so that nobody else pays.
 */
#include <stdlib.h>

#include "attach/perf/bpf_emit.h"
#include "attach/perf/perf_source.h"
#include "attach/perf/perf_source_context.h"

static struct cprof_error *open_rings(struct cprof_perf_source *source)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < source->n_rings; i++) {
		struct cprof_perf_source_ring *ring = &source->rings[i];
		if (ring->samples && ring->cpu >= 0 && !ring->context)
			err = cprof_perf_source_context_open(source->context, ring->cpu,
							     ring->event->fd, &ring->context);
	}
	return err;
}

static struct cprof_error *begin(struct cprof_perf_source *source)
{
	struct cprof_error *err = cprof_bpf_context_open(&source->context);
	if (!err)
		err = open_rings(source);
	if (!err)
		err = cprof_bpf_emit_set_slot(source->programs_fd, CPROF_BPF_EMIT_CONTEXT,
					      cprof_bpf_context_program(source->context));
	return err;
}

struct cprof_error *cprof_perf_source_set_place(struct cprof_perf_source *source,
						const struct cprof_target *target,
						const struct cprof_context_place *place)
{
	if (!place)
		return source->context ? cprof_bpf_context_set(source->context, target, NULL)
				       : NULL;
	if (source->programs_fd < 0)
		return cprof_error_hint(
			cprof_error_new(
				CPROF_ERR_UNSUPPORTED,
				"with events per %s nothing can be read of a thread while it stands "
				"still",
				source->opener->name),
			"run as root, or give cprof-attach CAP_BPF and CAP_PERFMON; leave -open and "
			"-children out");
	struct cprof_error *err = source->context ? NULL : begin(source);
	return err ? err : cprof_bpf_context_set(source->context, target, place);
}
