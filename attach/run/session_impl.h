/*
 * attach/run/session_impl.h - the inside of a session, for the files that make it up: session.c (life, processes, the end),
 * session_walk.c (mappings and stacks), session_labels.c. Everybody else uses session.h.
 */
#ifndef CPROF_ATTACH_RUN_SESSION_IMPL_H
#define CPROF_ATTACH_RUN_SESSION_IMPL_H

#include "attach/run/session.h"
#include "attach/run/session_prefetch.h"
#include "attach/run/session_names.h"
#include "attach/run/session_threads.h"

#define CPROF_SESSION_KERNEL_DEPTH_MAX 256 /* kernel.perf_event_max_stack is 127 unless raised */
#define CPROF_SESSION_LABELS_MAX       64

struct cprof_session {
	const struct cprof_mode_run *run; /* borrowed, as all of it */
	struct cprof_modules modules;
	struct cprof_unwinder *unwinder;
	struct cprof_builder *builder;
	struct cprof_process *processes;
	size_t n_processes;

	struct cprof_frame walked[CPROF_SESSION_DEPTH_MAX];
	struct cprof_builder_frame
		frames[CPROF_SESSION_KERNEL_DEPTH_MAX + CPROF_SESSION_DEPTH_MAX + 1];

	struct cprof_session_names names; /* what the namer needs: mapping number -> mapping */
	struct cprof_session_prefetch prefetch;
	uint32_t kernel_mapping; /* 0 until a kernel frame was seen */

	struct cprof_builder_label fixed[CPROF_SESSION_LABELS_MAX]; /* the -label ones */
	char *fixed_keys[CPROF_SESSION_LABELS_MAX];                 /* owned */
	size_t n_fixed;
	uint64_t n_tids; /* label sets with a tid so far */
};

/* The builder's number of `map`, registered (and its module opened) on first use. */
struct cprof_error *cprof_session_number_mapping(struct cprof_session *session,
						 struct cprof_process *process,
						 struct cprof_map *map, uint32_t *ret_number);

#endif
