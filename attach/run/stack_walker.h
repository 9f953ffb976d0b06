/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/stack_walker.h - from one sample (registers, stack bytes) to the frames of its stack.
 *
 * Owns the unwinder and room for one stack. Kernel frames come first, then the user's; a stack whose walk did not reach the
 * outermost frame ends in the marker "[truncated]" and is counted. Nothing here stops a target.
 */
#ifndef CPROF_ATTACH_RUN_STACK_WALKER_H
#define CPROF_ATTACH_RUN_STACK_WALKER_H

#include "attach/run/guessed_frames.h"
#include "attach/run/mapping_numbers.h"
#include "attach/run/process.h"
#include "attach/run/run_log.h"
#include "cprof/arch.h"
#include "cprof/error.h"
#include "cprof/stack_table.h"
#include "cprof/unwind.h"

/* Frames kept of one stack; deeper ones are cut at the root end and count as truncated. */
#define CPROF_STACK_DEPTH_MAX  2048
#define CPROF_KERNEL_DEPTH_MAX 256 /* kernel.perf_event_max_stack is 127 unless raised */

/* Addresses of marker frames, which are in no mapping; not 0, which some who keep profiles take for none. */
enum {
	CPROF_MARKER_TRUNCATED = 1, /* "[truncated]" */
	CPROF_MARKER_BEFORE,        /* "[allocated before attach]", the heap mode's */
	CPROF_N_MARKERS,
};

/* A piece of memory that was copied together with the stack: of another stack, from which the thread came to this one. */
struct cprof_session_piece {
	uint64_t addr;
	const void *bytes; /* borrowed */
	size_t n;
};

#define CPROF_SESSION_PIECES 2

struct cprof_session_sample {
	struct cprof_process *process;
	const struct cprof_regs *regs; /* NULL: no user part (a kernel thread's sample) */
	uint64_t stack_addr;           /* where `stack` was copied from; usually sp */
	const void *stack;             /* may be NULL, n_stack 0 */
	size_t n_stack;
	struct cprof_session_piece pieces[CPROF_SESSION_PIECES]; /* .n 0: unused */
	const uint64_t
		*kernel; /* return addresses in the kernel, innermost first; [0] is where it was */
	size_t n_kernel;
	bool live; /* the thread stands still or its outer frames do: the walk may read on in its memory */
};

struct cprof_session_stack {
	struct cprof_stack_frame *frames; /* borrowed; valid until the next walk */
	size_t n;
	bool truncated; /* the last frame is then the marker */
	enum cprof_stop stop;
};

struct cprof_stack_walker {
	struct cprof_mapping_numbers *numbers; /* borrowed */
	struct cprof_run_log *log;             /* borrowed */
	struct cprof_unwinder *unwinder;       /* owned */
	struct cprof_guessed_frames guessed;
	struct cprof_frame walked[CPROF_STACK_DEPTH_MAX];
	struct cprof_stack_frame frames[CPROF_KERNEL_DEPTH_MAX + CPROF_STACK_DEPTH_MAX + 1];
};

/* `numbers` and `log` are borrowed. Errors: UNSUPPORTED (this CPU's stacks are not known), NO_MEMORY. */
struct cprof_error *cprof_stack_walker_init(struct cprof_stack_walker *walker,
					    struct cprof_mapping_numbers *numbers,
					    struct cprof_run_log *log);
void cprof_stack_walker_deinit(struct cprof_stack_walker *walker);

/*
 * Walk the stack of `sample`. A sample whose pc lies in no known mapping makes the mappings be read again (at most
 * every 50 ms, less often while that finds nothing new). Errors: NO_MEMORY.
 */
struct cprof_error *cprof_stack_walker_walk(struct cprof_stack_walker *walker,
					    const struct cprof_session_sample *sample,
					    struct cprof_session_stack *ret_stack);

/*
 * The stack frames of `pcs` (run-time addresses, innermost first, as a shim or a frame pointer chain gives
 * them; all but the first are return addresses), for samples that need no unwinding.
 */
struct cprof_error *cprof_stack_walker_frames(struct cprof_stack_walker *walker,
					      struct cprof_process *process, const uint64_t *pcs,
					      size_t n, struct cprof_session_stack *ret_stack);

#endif
