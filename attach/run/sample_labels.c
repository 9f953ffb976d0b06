/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/sample_labels.h"

#include <stdlib.h>

#include "attach/run/thread_pool.h"
#include "base/array.h"

#define OWN_MAX 4 /* pid, thread, pool, tid */

void cprof_sample_labels_init(struct cprof_sample_labels *labels, struct cprof_builder *builder,
			      const struct cprof_run *run)
{
	*labels = (struct cprof_sample_labels){ .builder = builder, .run = run };
}

void cprof_sample_labels_deinit(struct cprof_sample_labels *labels)
{
	free(labels->labels);
	*labels = (struct cprof_sample_labels){ 0 };
}

static void put(struct cprof_sample_labels *labels, struct cprof_builder_label label)
{
	labels->labels[labels->n_labels++] = label;
}

static struct cprof_error *make(struct cprof_sample_labels *labels,
				const struct cprof_process *process,
				const struct cprof_process_thread *thread, pid_t tid,
				const struct cprof_builder_label *extra, size_t n_extra,
				uint32_t *ret_labels)
{
	const struct cprof_run *run = labels->run;
	char pool[CPROF_COMM_MAX];
	labels->n_labels = 0;
	if (!CPROF_ARRAY_ROOM(labels->labels, 0, labels->cap_labels,
			      run->n_labels + n_extra + OWN_MAX))
		return cprof_error_no_memory();
	for (size_t i = 0; i < run->n_labels; i++)
		put(labels, (struct cprof_builder_label){ .key = run->labels[i].key,
							  .str = run->labels[i].value });
	for (size_t i = 0; i < n_extra; i++)
		put(labels, extra[i]);
	if (run->n_targets > 1 || run->children)
		put(labels,
		    (struct cprof_builder_label){ .key = "pid", .num = process->target->pid });
	if (thread)
		put(labels, (struct cprof_builder_label){ .key = "thread", .str = thread->name });
	if (thread &&
	    cprof_thread_pool_name(thread->name, process->target->comm, pool, sizeof(pool)))
		put(labels, (struct cprof_builder_label){ .key = "pool", .str = pool });
	if (thread && labels->n_tids <= CPROF_PROCESS_THREADS_MAX)
		put(labels, (struct cprof_builder_label){ .key = "tid", .num = tid });
	return cprof_builder_labels(labels->builder, labels->labels, labels->n_labels, ret_labels);
}

struct cprof_error *cprof_sample_labels_get(struct cprof_sample_labels *labels,
					    struct cprof_process *process, pid_t tid,
					    const struct cprof_builder_label *extra, size_t n_extra,
					    uint32_t *ret_labels)
{
	if (!tid)
		return make(labels, process, NULL, 0, extra, n_extra, ret_labels);
	struct cprof_process_thread *thread =
		cprof_process_threads_get(process->threads, process->target, tid);
	if (!thread)
		return cprof_error_no_memory();
	if (n_extra)
		return make(labels, process, thread, tid, extra, n_extra, ret_labels);
	if (!thread->have_labels) {
		labels->n_tids++;
		struct cprof_error *err =
			make(labels, process, thread, tid, NULL, 0, &thread->labels);
		if (err)
			return err;
		thread->have_labels = true;
	}
	*ret_labels = thread->labels;
	return NULL;
}
