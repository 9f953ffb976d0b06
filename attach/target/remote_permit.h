/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/remote_permit.h - may a stopped thread make system calls in our name, and live if we are killed meanwhile?
 *
 * Owns the questions that are asked before a thread is borrowed (remote.h): 64-bit code, shadow stack, Syscall User
 * Dispatch, seccomp. The answers are the kernel's; what a filter would say is worked out in seccomp.h.
 *
 * Sources: ptrace(2) PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG (Linux 6.4); Linux
 * Documentation/admin-guide/syscall-user-dispatch.rst; seccomp(2).
 */
#ifndef CPROF_ATTACH_TARGET_REMOTE_PERMIT_H
#define CPROF_ATTACH_TARGET_REMOTE_PERMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/target/ptrace.h"
#include "attach/target/remote_gadgets.h"
#include "attach/target/seccomp.h"
#include "cprof/error.h"

/* The calls that are going to be made; rt_sigreturn comes with every one of them. Borrowed. */
struct cprof_remote_calls {
	const struct cprof_seccomp_call *all;
	size_t n;
};

/* As the kernel tells it: struct ptrace_sud_config. */
struct cprof_remote_dispatch {
	uint64_t mode; /* 0: off */
	uint64_t selector, offset, len;
};
_Static_assert(sizeof(struct cprof_remote_dispatch) == 32, "struct ptrace_sud_config");

/*
 * Does a system call pass that leaves the thread at `ip`, whatever the selector says now or later? The kernel's own
 * comparison, which wraps around (it is how the range of PR_SYS_DISPATCH_INCLUSIVE_ON is stored). Pure.
 */
bool cprof_remote_dispatch_passes(const struct cprof_remote_dispatch *dispatch, uint64_t ip);

/*
 * NULL if the stopped `thread` may make `calls` by these gadgets. *ret_untold: the kernel (5.11 to 6.3) does not tell
 * whether calls are dispatched, and the thread has a handler for SIGSYS: what it may do must be tried.
 *
 * Errors: UNSUPPORTED, naming the thread and what is in the way; DENIED for a filter that we may not read.
 */
struct cprof_error *cprof_remote_permit(const struct cprof_ptrace *trace,
					const struct cprof_tracee *thread,
					const struct cprof_remote_gadgets *gadgets,
					const struct cprof_remote_calls *calls, bool *ret_untold);

/* Has this thread a filter at all? */
bool cprof_remote_permit_filtered(const struct cprof_ptrace *trace,
				  const struct cprof_tracee *thread);

#endif
