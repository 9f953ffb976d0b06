/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/remote_gadgets.h - the few instructions that borrowed threads run, found in the target's own text.
 *
 * A thread that makes a call for us (remote.h) executes no code of ours: it needs a system call with a return behind it,
 * and a way into rt_sigreturn. Where a program has none of the latter it is put into unused zeros at the end of its text,
 * and taken out again.
 */
#ifndef CPROF_ATTACH_TARGET_REMOTE_GADGETS_H
#define CPROF_ATTACH_TARGET_REMOTE_GADGETS_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/target/ptrace.h"
#include "cprof/error.h"
#include "cprof/maps.h"

/* Code of the target's that is used as it stands. */
struct cprof_remote_gadgets {
	uint64_t syscall_ret; /* 0f 05 c3 */
	uint64_t
		sigreturn; /* mov $15, %eax; syscall: the C library's; 0 where no handler was ever set up */
	uint64_t pop_rax; /* 58 c3, pop %rax; ret: with it the first one makes that call too */
	uint64_t slack;   /* where there is neither: unused zeros at the end of a page of text */
};

/* Where the thread stands, as the kernel and filters see it, in the system call that is its way back. */
uint64_t cprof_remote_gadgets_return_ip(const struct cprof_remote_gadgets *gadgets,
					const struct cprof_ptrace *trace);

/*
 * What is put into the slack, and taken out again, where a program (static, without signal handlers) brings no signal
 * return of its own: mov $15, %eax; syscall, and a mark by which -repair knows it.
 */
#define CPROF_REMOTE_SLACK_BYTES 16
extern const uint8_t cprof_remote_slack[CPROF_REMOTE_SLACK_BYTES];

/* May a thread still run through it on its way back? One that does not stand still may. */
bool cprof_remote_slack_awaited(const struct cprof_ptrace *trace, uint64_t slack);

/* Zeros again where a killed run left that and nobody awaits it; true if it did so. The process must be stopped. */
bool cprof_remote_clear_slack(const struct cprof_ptrace *trace, const struct cprof_maps *maps);

/*
 * Search the executable mappings for them; reads the target's memory and does not stop it. UNSUPPORTED where what is
 * needed is missing, and for a process with shadow stacks, where the way back is barred.
 */
struct cprof_error *cprof_remote_find_gadgets(const struct cprof_maps *maps,
					      struct cprof_remote_gadgets *ret_gadgets);

#endif
