#include "attach/target/ptrace_again.h"

#include <errno.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "attach/target/stop_effect.h"
#include "attach/target/thread_proc.h"

/* Is a signal on its way that the thread will handle, or that ends it? */
static bool signal_comes(pid_t pid, pid_t tid)
{
	char text[4096];
	struct cprof_thread_status status;
	return cprof_thread_read(pid, tid, "status", text, sizeof(text)) <= 0 ||
	       !cprof_thread_status_parse(text, &status) || (status.pending & ~status.blocked);
}

static bool on_syscall_insn(pid_t tid, uint64_t addr)
{
	uint8_t insn[2] = { 0 };
	struct iovec local = { insn, sizeof(insn) };
	struct iovec remote = { (void *)(uintptr_t)addr, sizeof(insn) };
	return process_vm_readv(tid, &local, 1, &remote, 1, 0) == (ssize_t)sizeof(insn) &&
	       insn[0] == 0x0f && insn[1] == 0x05;
}

bool cprof_ptrace_again(pid_t pid, pid_t tid, struct user_regs_struct *regs)
{
	const uint64_t args[6] = { regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9 };
	if ((int64_t)regs->orig_rax < 0 || (int64_t)regs->rax != -EINTR ||
	    cprof_stop_effect((int64_t)regs->orig_rax, args) != CPROF_STOP_AGAIN ||
	    !on_syscall_insn(tid, regs->rip - 2) || signal_comes(pid, tid))
		return false;
	struct user_regs_struct again = *regs;
	again.rip -= 2;
	again.rax = again.orig_rax;
	again.orig_rax = UINT64_MAX;
	if (ptrace(PTRACE_SETREGS, tid, NULL, &again) < 0)
		return false;
	*regs = again;
	return true;
}
