/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/remote.h - system calls executed by a stopped thread of the target, that undo themselves.
 *
 * Before the thread runs anything, a signal frame holding all that it is (registers, vector state, signal
 * mask) is put below its stack pointer, and the return address is the C library's own way back from a signal
 * handler. The thread executes "syscall; ret" found in its own text. If we live, we read the result and set the
 * registers back ourselves; if we are killed at any moment, it executes the call, returns into rt_sigreturn and
 * goes on as if nothing had happened.
 *
 * Which thread may do that without harm is asked first (remote_permit.h).
 *
 * While we live its signals are blocked, so that none meets the borrowed registers; they stay pending and are
 * delivered afterwards. No single step and no breakpoint: their SIGTRAP kills if the tracer is gone.
 *
 * Sources: rt_sigreturn(2); Linux arch/x86/kernel/signal_64.c, arch/x86/include/uapi/asm/sigcontext.h.
 */
#ifndef CPROF_ATTACH_TARGET_REMOTE_H
#define CPROF_ATTACH_TARGET_REMOTE_H

#include "attach/target/ptrace.h"
#include "attach/target/remote_gadgets.h"
#include "attach/target/remote_permit.h"
#include "cprof/maps.h"

struct cprof_remote {
	struct cprof_ptrace *trace;  /* borrowed */
	struct cprof_tracee *thread; /* borrowed: the one that does it */
	struct cprof_remote_gadgets gadgets;
	struct user_regs_struct kept; /* what it was */
	uint64_t mask;                /* its signals blocked then */
	uint64_t frame;               /* address of the signal frame */
	uint64_t stack; /* where the first return address lies: the frame, or two words below */
	bool away;      /* its registers are not its own now */
	bool suspended; /* its seccomp filter is, until cprof_remote_end() */
	bool untold; /* whether its calls are dispatched was tried, since the kernel does not tell */
	bool slack_used; /* the gadgets' slack holds code of ours */
};

/*
 * Choose a thread whose stack has room and that may make `calls` (remote_permit.h), and make it ready. `maps` must be of
 * now. Its seccomp filter, and no other thread's, is suspended until cprof_remote_end(), where we may do that.
 *
 * Errors: UNSUPPORTED if there is none: *ret_again if every thread runs on a stack that we do not know to have room
 * (coroutines), so that another moment may do; DENIED where its filter cannot be read. After an error nothing is borrowed.
 */
struct cprof_error *cprof_remote_begin(struct cprof_remote *remote, struct cprof_ptrace *trace,
				       const struct cprof_remote_gadgets *gadgets,
				       const struct cprof_maps *maps,
				       const struct cprof_remote_calls *calls, bool *ret_again);

/*
 * One system call; *ret_result is what it returned, -errno included. Errors: NO_TARGET, OS, UNSUPPORTED if a trap of the
 * target's own caught it, or if the thread does not come back from it in time.
 */
struct cprof_error *cprof_remote_syscall(struct cprof_remote *remote, long number,
					 const uint64_t args[6], int64_t *ret_result);

/* Make the thread what it was. Must be called after begin, whatever happened in between. */
void cprof_remote_end(struct cprof_remote *remote);

#endif
