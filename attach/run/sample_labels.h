/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/sample_labels.h - the labels of a sample: the one place where every mode's are made.
 *
 * Those of the run, which every sample bears; which process and thread it is of; and what the mode adds. Sets are numbers
 * of the builder.
 */
#ifndef CPROF_ATTACH_RUN_SAMPLE_LABELS_H
#define CPROF_ATTACH_RUN_SAMPLE_LABELS_H

#include "attach/run/process.h"
#include "attach/run/run.h"
#include "cprof/builder.h"
#include "cprof/error.h"

struct cprof_sample_labels {
	struct cprof_builder *builder;      /* borrowed */
	const struct cprof_run *run;        /* borrowed */
	struct cprof_builder_label *labels; /* owned; the set being put together */
	size_t n_labels, cap_labels;
	uint64_t n_tids; /* sets with a thread id so far */
};

/* `builder` and `run` are borrowed. */
void cprof_sample_labels_init(struct cprof_sample_labels *labels, struct cprof_builder *builder,
			      const struct cprof_run *run);
void cprof_sample_labels_deinit(struct cprof_sample_labels *labels);

/*
 * The set of a sample of thread `tid` (0: it is of no one thread): the run's labels, `extra`, "pid" where there are several
 * targets, "thread", "pool" (thread_pool.h) and "tid". Without `extra` a thread's set is remembered. Once more than 16,384 sets had a thread id
 * threads are told apart by name only, so that memory stays bounded. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_sample_labels_get(struct cprof_sample_labels *labels,
					    struct cprof_process *process, pid_t tid,
					    const struct cprof_builder_label *extra, size_t n_extra,
					    uint32_t *ret_labels);

#endif
