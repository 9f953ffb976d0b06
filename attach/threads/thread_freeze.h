/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/threads/thread_freeze.h - stop threads with ptrace for a moment: registers and stack bytes, and let them go.
 *
 * The last resort, and what -consistent asks for: all threads stand still together. Unlike everything else in the
 * threads mode it is felt: calls that wait with a time limit (epoll_wait, semtimedop, sigtimedwait, recv) return EINTR to a
 * thread that was stopped in them, and a write may do less than it was asked to (attach/target/stop_effect.h).
 *
 * The tracer is a thread of our own (tracer.h) that ends with the call. When it ends, however it ends, the kernel releases
 * whatever it still traces (no PTRACE_O_EXITKILL), also a thread in D state that could not be told to go.
 *
 * Source of truth: ptrace(2) "Attaching and detaching", "Group-stop", "PTRACE_EVENT_STOP".
 */
#ifndef CPROF_ATTACH_THREADS_THREAD_FREEZE_H
#define CPROF_ATTACH_THREADS_THREAD_FREEZE_H

#include "attach/target/stop_tally.h"
#include "attach/target/target.h"
#include "attach/threads/thread.h"
#include "cprof/error.h"

struct cprof_thread_freeze {
	struct cprof_target *target; /* borrowed, as all */
	struct cprof_thread **threads;
	size_t n;       /* by tid, ascending */
	bool everybody; /* these are to be all threads of the target: see `born` */
	size_t stack_bytes;

	uint64_t stopped; /* results: threads that were stopped, */
	size_t born; /* threads that came into being before all stood still; nothing was read then: list anew */
	struct cprof_stop_tally
		stops; /* and how long, from the first interrupt to the last release */
};

/*
 * Stop the threads, fill regs, call, stack and means (STOP) of those that do stop within 20 ms (100 ms where they only
 * get no processor), and release them, in any case and on every path. A thread that could not be stopped has `why`.
 * Errors: DENIED when the kernel lets us trace none of them (the hint names the knob).
 */
struct cprof_error *cprof_thread_freeze_take(struct cprof_thread_freeze *freeze);

#endif
