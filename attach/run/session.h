/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/session.h - from a sample of a thread (registers, stack bytes) to a row of the profile.
 *
 * What every mode shares, put together: the targets (process.h), the opened modules, the walk of stacks (stack_walker.h),
 * one table of stacks for all (the builder's), labels (sample_labels.h), and at the end names (profile_names.h), each
 * distinct address once. Stacks are walked while the process lives, so that its modules get opened before they
 * vanish. How samples come about (perf, a shim's ring, /proc) is the modes'.
 *
 * One thread uses a session. Nothing here stops a target.
 */
#ifndef CPROF_ATTACH_RUN_SESSION_H
#define CPROF_ATTACH_RUN_SESSION_H

#include "attach/run/process.h"
#include "attach/run/run.h"
#include "attach/run/stack_walker.h"
#include "cprof/builder.h"
#include "cprof/error.h"
#include "cprof/module.h"
#include "cprof/unwind.h"

struct cprof_session;

/*
 * `types` as for cprof_builder_new(). Reads the mappings of every target of the run and registers the
 * first target's program as mapping 1. Errors: NO_TARGET, DENIED, NO_MEMORY.
 */
struct cprof_error *cprof_session_new(const struct cprof_run *run,
				      const struct cprof_builder_type *types, size_t n_types,
				      struct cprof_session **ret_session);

/*
 * The same in two steps, for who must not be kept waiting while a thousand mappings are read. Until the second is done
 * stacks of processes that run already cannot be walked. Errors: NO_MEMORY; NO_TARGET, DENIED, NO_MEMORY.
 */
struct cprof_error *cprof_session_prepare(const struct cprof_run *run,
					  const struct cprof_builder_type *types, size_t n_types,
					  struct cprof_session **ret_session);
struct cprof_error *cprof_session_read_targets(struct cprof_session *session);

void cprof_session_free(struct cprof_session *session);

/* The process with this pid (as seen in our /proc), or NULL if it is no target. */
struct cprof_process *cprof_session_process(struct cprof_session *session, pid_t pid);
struct cprof_process *cprof_session_process_at(struct cprof_session *session, size_t number);

/*
 * `parent` has forked the process `pid`, which is one more of this session, and of its run's labels. Whoever had the id
 * before is known no more. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_session_fork(struct cprof_session *session,
				       const struct cprof_process *parent, pid_t pid);
size_t cprof_session_n_children(const struct cprof_session *session);

/* For modes that open modules themselves. */
struct cprof_modules *cprof_session_modules(struct cprof_session *session);
struct cprof_run_log *cprof_session_log(struct cprof_session *session);
void cprof_session_unwind_stats(const struct cprof_session *session,
				struct cprof_unwind_stats *ret_stats);

/* It runs another program now (process.h); its program is registered as mapping 1 where that is free. */
struct cprof_error *cprof_session_exec(struct cprof_session *session,
				       struct cprof_process *process);

/* While there is nothing else to do: have prepared what the names of the stacks so far will take. Never blocks. */
void cprof_session_prefetch(struct cprof_session *session);

/* ---- a stack ---- */

/* As in stack_walker.h. */
struct cprof_error *cprof_session_walk(struct cprof_session *session,
				       const struct cprof_session_sample *sample,
				       struct cprof_session_stack *ret_stack);
struct cprof_error *cprof_session_frames(struct cprof_session *session,
					 struct cprof_process *process, const uint64_t *pcs,
					 size_t n, struct cprof_session_stack *ret_stack);

/* The number of a stack, for modes that count by stack until the end; and its frames (stack_table.h). */
struct cprof_error *cprof_session_stack(struct cprof_session *session,
					const struct cprof_session_stack *stack,
					uint32_t *ret_number);
const struct cprof_stack_table *cprof_session_stacks(const struct cprof_session *session);

/* The frame that stands for `name`, which is no function (marker_names.h): "[epoll_wait]". */
struct cprof_stack_frame cprof_session_marker(struct cprof_session *session, const char *name);

/*
 * The mapping that a frame of a stack lies in, also when it is mapped no more, for who looks at names himself.
 * False for the kernel's frames and those in no mapping.
 */
bool cprof_session_frame_map(const struct cprof_session *session,
			     const struct cprof_stack_frame *frame,
			     const struct cprof_maps **ret_maps, struct cprof_map **ret_map);

/* ---- rows of the profile ---- */

/* As cprof_sample_labels_get(); `tid` 0: of no one thread. */
struct cprof_error *cprof_session_labels(struct cprof_session *session,
					 struct cprof_process *process, pid_t tid,
					 const struct cprof_builder_label *extra, size_t n_extra,
					 uint32_t *ret_labels);

/*
 * Whether the thread's samples count: run->threads (thread_choice.h), asked once for each thread and name. A mode asks before it walks a stack.
 * Out of memory: true.
 */
bool cprof_session_wants(struct cprof_session *session, struct cprof_process *process, pid_t tid);

/* Add one row: values in the order of `types`. Does not count in the run's log. */
struct cprof_error *cprof_session_add(struct cprof_session *session,
				      const struct cprof_session_stack *stack, uint32_t labels,
				      const int64_t *values);
struct cprof_error *cprof_session_add_stack(struct cprof_session *session, uint32_t number,
					    uint32_t labels, const int64_t *values);

/*
 * The same, and when it was, by the clock of window.h: a moment, or from when to when, over which values are spread evenly. What was before the
 * window counts as its beginning. Without run->timeline the time is dropped; with run->ring a moment goes into that. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_session_add_at(struct cprof_session *session,
					 const struct cprof_session_stack *stack, uint32_t labels,
					 uint64_t mono_ns, const int64_t *values);
struct cprof_error *cprof_session_add_span(struct cprof_session *session, uint32_t number,
					   uint32_t labels, uint64_t from_mono_ns,
					   uint64_t to_mono_ns, const int64_t *values);

/*
 * Before the first of these: nothing is known more finely than this, a multiple of 1 ms, and a file of small_bytes is small whatever it were without
 * times. Nothing without run->timeline. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_session_time_base(struct cprof_session *session, uint64_t step_ns,
					    size_t small_bytes);

/* ---- looking back (run->ring) ---- */

/*
 * From time to time: what is too old goes, and so do stacks and labels that no row in the ring has. Numbers of stacks and labels that were given out
 * before mean nothing afterwards. Nothing without a ring. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_session_turn(struct cprof_session *session, uint64_t now_ns);

/* The same for a mode whose ring holds something else than stacks and labels: `carry` takes over what is wanted still. */
typedef struct cprof_error *cprof_session_carry_fn(void *ctx, const struct cprof_builder *from,
						   struct cprof_builder *to);
struct cprof_error *cprof_session_thin(struct cprof_session *session, cprof_session_carry_fn *carry,
				       void *ctx);
size_t cprof_session_bytes(const struct cprof_session *session); /* of stacks and labels, about */

/*
 * The profile is of what the ring is asked for, once, in a copy of the process or at the end: first the window and the counts are made
 * those of that time, then its rows are added. Errors: NO_MEMORY.
 */
void cprof_session_look_back(struct cprof_session *session);
struct cprof_error *cprof_session_fill(struct cprof_session *session);

/* ---- the end ---- */

/*
 * Names for every address, and the profile with times, comments (version, command line, kernel, counts, the
 * log's warnings) and `period`. `default_type` may be NULL. The session can go on afterwards.
 */
struct cprof_error *cprof_session_finish(struct cprof_session *session, const char *period_type,
					 const char *period_unit, int64_t period,
					 const char *default_type,
					 struct cprof_profile **ret_profile);

#endif
