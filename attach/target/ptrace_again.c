/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/ptrace_again.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ptrace.h>

#include "attach/target/stop_effect.h"

#define ERESTARTNOHAND 514 /* the kernel's own: no program ever sees it */

bool cprof_ptrace_again(pid_t tid, struct user_regs_struct *regs)
{
	const uint64_t args[6] = { regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9 };
	if ((int64_t)regs->orig_rax < 0 || (int64_t)regs->rax != -EINTR ||
	    cprof_stop_effect((int64_t)regs->orig_rax, args) != CPROF_STOP_AGAIN)
		return false;
	struct user_regs_struct again = *regs;
	again.rax = (uint64_t)-ERESTARTNOHAND;
	if (ptrace(PTRACE_SETREGS, tid, NULL, &again) < 0)
		return false;
	*regs = again;
	return true;
}
