/* Label sets of a session's samples. */
#include "attach/run/session_impl.h"

/* ---- labels ---- */

static struct cprof_error *make_labels(struct cprof_session *session,
				       const struct cprof_process *process,
				       const struct cprof_session_thread *thread, pid_t tid,
				       const struct cprof_builder_label *extra, size_t n_extra,
				       uint32_t *ret_labels)
{
	struct cprof_builder_label labels[CPROF_SESSION_LABELS_MAX + 16];
	size_t n = 0;
	if (n_extra > 16)
		n_extra = 16;
	for (size_t i = 0; i < session->n_fixed; i++)
		labels[n++] = session->fixed[i];
	for (size_t i = 0; i < n_extra; i++)
		labels[n++] = extra[i];
	if (session->n_processes > 1)
		labels[n++] =
			(struct cprof_builder_label){ .key = "pid", .num = process->target->pid };
	labels[n++] = (struct cprof_builder_label){ .key = "thread", .str = thread->name };
	if (session->n_tids <= CPROF_SESSION_THREADS_MAX)
		labels[n++] = (struct cprof_builder_label){ .key = "tid", .num = tid };
	return cprof_builder_labels(session->builder, labels, n, ret_labels);
}

struct cprof_error *cprof_session_labels(struct cprof_session *session,
					 struct cprof_process *process, pid_t tid,
					 const struct cprof_builder_label *extra, size_t n_extra,
					 uint32_t *ret_labels)
{
	struct cprof_session_thread *thread =
		cprof_session_threads_get(process->threads, process->target, tid);
	if (!thread)
		return cprof_error_no_memory();
	if (n_extra)
		return make_labels(session, process, thread, tid, extra, n_extra, ret_labels);
	if (!thread->have_labels) {
		session->n_tids++;
		struct cprof_error *err =
			make_labels(session, process, thread, tid, NULL, 0, &thread->labels);
		if (err)
			return err;
		thread->have_labels = true;
	}
	*ret_labels = thread->labels;
	return NULL;
}

struct cprof_error *cprof_session_thread_name(struct cprof_session *session,
					      struct cprof_process *process, pid_t tid,
					      const char *name)
{
	(void)session;
	return cprof_session_threads_set(process->threads, tid, name) ? NULL
								      : cprof_error_no_memory();
}

struct cprof_error *cprof_session_thread_fork(struct cprof_session *session,
					      struct cprof_process *process, pid_t tid,
					      pid_t parent)
{
	(void)session;
	return cprof_session_threads_fork(process->threads, process->target, tid, parent)
		       ? NULL
		       : cprof_error_no_memory();
}

const char *cprof_session_thread(struct cprof_session *session, struct cprof_process *process,
				 pid_t tid)
{
	(void)session;
	const struct cprof_session_thread *thread =
		cprof_session_threads_get(process->threads, process->target, tid);
	return thread ? thread->name : "";
}
