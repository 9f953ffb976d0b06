/*
 * attach/run/session.h - from a sample of a thread (registers, stack bytes) to a row of the profile.
 *
 * What every mode shares: per process the mappings, the memory and the threads' names; one set of opened modules,
 * one unwinder, one builder, and at the end one symbolizer. Stacks are walked while the process lives, so that
 * its modules get opened before they vanish; names are looked up once per distinct address, in
 * cprof_session_finish(). How samples come about (perf, a shim's ring, /proc) is the modes'.
 *
 * One thread uses a session. Nothing here stops a target.
 */
#ifndef CPROF_ATTACH_RUN_SESSION_H
#define CPROF_ATTACH_RUN_SESSION_H

#include "attach/run/mode.h"
#include "attach/target/target_mem.h"
#include "base/arch.h"
#include "base/error.h"
#include "convert/profile/builder.h"
#include "symbolize/process/maps.h"
#include "symbolize/process/module.h"
#include "symbolize/unwind/unwind.h"

/* Frames kept of one stack; deeper ones are cut at the root end and count as truncated. */
#define CPROF_SESSION_DEPTH_MAX 2048

struct cprof_session;

/* One target as the session sees it. */
struct cprof_process {
	struct cprof_target *target; /* borrowed */
	struct cprof_maps maps;
	struct cprof_target_mem mem;
	uint32_t number;            /* index of the target in the run */
	uint64_t refreshed_mono_ns; /* when the mappings were last read as a whole */
	uint64_t refresh_after_ns;  /* how long a miss must wait for the next reading */
	uint32_t *mapping_numbers;  /* by cprof_map.id: its number in the builder, 0 not yet */
	size_t n_mapping_numbers;
	struct cprof_session_threads
		*threads; /* names and label sets by thread id; session_threads.c */
	bool started; /* samples count: always, but for a launched command only from its exec on */
};

/*
 * `types` as for cprof_builder_new(). Reads the mappings of every target of the run and registers the
 * first target's program as mapping 1. Errors: NO_TARGET, DENIED, NO_MEMORY.
 */
struct cprof_error *cprof_session_new(const struct cprof_mode_run *run,
				      const struct cprof_builder_type *types, size_t n_types,
				      struct cprof_session **ret_session);

/*
 * The same in two steps, for who must not be kept waiting while a thousand mappings are read. Until the second is done
 * stacks of processes that run already cannot be walked. Errors: NO_MEMORY; NO_TARGET, DENIED, NO_MEMORY.
 */
struct cprof_error *cprof_session_prepare(const struct cprof_mode_run *run,
					  const struct cprof_builder_type *types, size_t n_types,
					  struct cprof_session **ret_session);
struct cprof_error *cprof_session_look(struct cprof_session *session);

void cprof_session_free(struct cprof_session *session);

/* The process with this pid (as seen in our /proc), or NULL if it is no target. */
struct cprof_process *cprof_session_process(struct cprof_session *session, pid_t pid);
struct cprof_process *cprof_session_process_at(struct cprof_session *session, size_t number);

/* The parts, for modes that do some of the work themselves. */
struct cprof_modules *cprof_session_modules(struct cprof_session *session);
struct cprof_builder *cprof_session_builder(struct cprof_session *session);
struct cprof_run_log *cprof_session_log(struct cprof_session *session);
void cprof_session_unwind_stats(const struct cprof_session *session,
				struct cprof_unwind_stats *ret_stats);

/* ---- what happens to a process ---- */

/* Read /proc/PID/maps again, but no more often than every `at_least_ns`. A process that is gone is no error. */
struct cprof_error *cprof_session_refresh(struct cprof_session *session,
					  struct cprof_process *process, uint64_t at_least_ns);

/* It runs another program now: forget mappings and thread names, read them anew. */
struct cprof_error *cprof_session_exec(struct cprof_session *session,
				       struct cprof_process *process);

/* While there is nothing else to do: have prepared what the names of the stacks so far will take. Never blocks. */
void cprof_session_prefetch(struct cprof_session *session);

/* ---- a stack ---- */

struct cprof_session_sample {
	struct cprof_process *process;
	const struct cprof_regs *regs; /* NULL: no user part (a kernel thread's sample) */
	uint64_t stack_addr;           /* where `stack` was copied from; usually sp */
	const void *stack;             /* may be NULL, n_stack 0 */
	size_t n_stack;
	const uint64_t
		*kernel; /* return addresses in the kernel, innermost first; [0] is where it was */
	size_t n_kernel;
	bool live; /* the thread stands still or its outer frames do: the walk may read on in its memory */
};

struct cprof_session_stack {
	struct cprof_builder_frame *frames; /* borrowed; valid until the next walk */
	size_t n;
	bool truncated; /* the last frame is then the marker "[truncated]" */
	enum cprof_stop stop;
};

/*
 * Walk the stack of `sample`. A sample whose pc lies in no known mapping makes the mappings be read again (at most
 * every 50 ms, less often while that finds nothing new). Counts truncated stacks in the run's log. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_session_walk(struct cprof_session *session,
				       const struct cprof_session_sample *sample,
				       struct cprof_session_stack *ret_stack);

/*
 * The stack frames of `pcs` (run-time addresses, innermost first, as a shim or a frame pointer chain gives
 * them; all but the first are return addresses), for samples that need no unwinding.
 */
struct cprof_error *cprof_session_frames(struct cprof_session *session,
					 struct cprof_process *process, const uint64_t *pcs,
					 size_t n, struct cprof_session_stack *ret_stack);

/*
 * The mapping that a frame of a stack lies in, also when it is mapped no more, for who looks at names himself.
 * False for the kernel's frames and those in no mapping.
 */
bool cprof_session_frame_map(const struct cprof_session *session,
			     const struct cprof_builder_frame *frame,
			     const struct cprof_maps **ret_maps, struct cprof_map **ret_map);

/* ---- labels ---- */

/*
 * The label set of thread `tid`: thread name, tid, the -label ones, with several targets `pid`; and `extra`
 * (may be NULL). Without `extra` it is cached, and costs a look-up. Thread ids stop being told apart when more than
 * 16,384 were seen, so that memory stays bounded: then only the name is labelled.
 */
struct cprof_error *cprof_session_labels(struct cprof_session *session,
					 struct cprof_process *process, pid_t tid,
					 const struct cprof_builder_label *extra, size_t n_extra,
					 uint32_t *ret_labels);

/* The kernel told a new thread of the process (it bears its creator's name), or a thread's new name. */
struct cprof_error *cprof_session_thread_fork(struct cprof_session *session,
					      struct cprof_process *process, pid_t tid,
					      pid_t parent);
struct cprof_error *cprof_session_thread_name(struct cprof_session *session,
					      struct cprof_process *process, pid_t tid,
					      const char *name);

/* The name of a thread as the labels have it; borrowed, "" if unknown. */
const char *cprof_session_thread(struct cprof_session *session, struct cprof_process *process,
				 pid_t tid);

/* ---- the end ---- */

/* Add one row: values in the order of `types`. Does not count in the run's log. */
struct cprof_error *cprof_session_add(struct cprof_session *session,
				      const struct cprof_session_stack *stack, uint32_t labels,
				      const int64_t *values);

/*
 * Names for every address, and the profile with times, comments (version, command line, kernel, counts, the
 * log's warnings) and `period`. `default_type` may be NULL. The session can go on afterwards.
 */
struct cprof_error *cprof_session_finish(struct cprof_session *session, const char *period_type,
					 const char *period_unit, int64_t period,
					 const char *default_type,
					 struct cprof_profile **ret_profile);

#endif
