/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/remote_permit.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "attach/target/thread_proc.h"

/* Younger than the headers of Debian 12. */
#define GET_DISPATCH    0x4211 /* PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG */
#define SET_DISPATCH    59     /* PR_SET_SYSCALL_USER_DISPATCH, with PR_SYS_DISPATCH_OFF: 0 */
#define CODE_SEGMENT_64 0x33   /* __USER_CS of Linux on x86-64 */
#define SYSCALL_BYTES   2u     /* 0f 05 */
#define SIGNAL_BIT(sig) (1ull << ((sig)-1))

bool cprof_remote_dispatch_passes(const struct cprof_remote_dispatch *dispatch, uint64_t ip)
{
	return dispatch->mode == 0 || ip - dispatch->offset < dispatch->len;
}

static bool read_status(const struct cprof_ptrace *trace, const struct cprof_tracee *thread,
			struct cprof_thread_status *ret)
{
	char text[4096];
	return cprof_thread_read(trace->pid, thread->tid, "status", text, sizeof(text)) > 0 &&
	       cprof_thread_status_parse(text, ret);
}

bool cprof_remote_permit_filtered(const struct cprof_ptrace *trace,
				  const struct cprof_tracee *thread)
{
	struct cprof_thread_status status;
	return !read_status(trace, thread, &status) || status.seccomp != 0;
}

/* Asked of ourselves: a kernel that does not know the call can dispatch nobody's. */
static bool kernel_dispatches(void)
{
	return prctl(SET_DISPATCH, 0, 0, 0, 0) == 0;
}

/*
 * The selector is a byte that the thread may change at any moment, so only calls from the range that is always let through
 * count.
 */
static struct cprof_error *check_dispatch(const struct cprof_tracee *thread, uint64_t call_ip,
					  uint64_t return_ip, uint64_t caught, bool *ret_untold)
{
	struct cprof_remote_dispatch dispatch = { 0 };
	*ret_untold = false;
	if (ptrace((enum __ptrace_request)GET_DISPATCH, thread->tid, (void *)sizeof(dispatch),
		   &dispatch) < 0) {
		/* Without a handler the first call that is caught ends the process: nobody lives so. */
		*ret_untold = errno == EIO && kernel_dispatches() && (caught & SIGNAL_BIT(SIGSYS));
		return NULL;
	}
	if (cprof_remote_dispatch_passes(&dispatch, call_ip) &&
	    cprof_remote_dispatch_passes(&dispatch, return_ip))
		return NULL;
	return cprof_error_new(CPROF_ERR_UNSUPPORTED,
			       "thread %d has its system calls handed to a handler (Syscall User "
			       "Dispatch, as Wine and emulators do), which would get those that it "
			       "would have to make for us",
			       (int)thread->tid);
}

static struct cprof_error *check_filters(const struct cprof_tracee *thread,
					 const struct cprof_remote_calls *calls, uint64_t call_ip,
					 uint64_t return_ip)
{
	const struct cprof_seccomp_call back = { "rt_sigreturn", SYS_rt_sigreturn, { 0 } };
	struct cprof_error *err = cprof_seccomp_check(thread->tid, calls->all, calls->n, call_ip);
	if (!err)
		err = cprof_seccomp_check(thread->tid, &back, 1, return_ip);
	if (!err || err->code != CPROF_ERR_DENIED)
		return err;
	cprof_error_free(err);
	err = cprof_error_new(
		CPROF_ERR_DENIED,
		"thread %d runs under a seccomp filter, which may kill the process for "
		"the system calls that this needs",
		(int)thread->tid);
	return cprof_error_hint(err, "as root the filter can be read and suspended");
}

static struct cprof_error *check_seccomp(const struct cprof_tracee *thread, int mode,
					 const struct cprof_remote_calls *calls, uint64_t call_ip,
					 uint64_t return_ip)
{
	if (mode == 0)
		return NULL;
	if (mode == 2)
		return check_filters(thread, calls, call_ip, return_ip);
	return cprof_error_new(CPROF_ERR_UNSUPPORTED,
			       "thread %d is in seccomp's strict mode, which kills for the system "
			       "calls that it would have to make for us",
			       (int)thread->tid);
}

struct cprof_error *cprof_remote_permit(const struct cprof_ptrace *trace,
					const struct cprof_tracee *thread,
					const struct cprof_remote_gadgets *gadgets,
					const struct cprof_remote_calls *calls, bool *ret_untold)
{
	struct cprof_thread_status status;
	const uint64_t call_ip = gadgets->syscall_ret + SYSCALL_BYTES;
	const uint64_t return_ip = cprof_remote_gadgets_return_ip(gadgets, trace);
	if (!read_status(trace, thread, &status))
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "the status of thread %d cannot be read", (int)thread->tid);
	if (thread->regs.cs != CODE_SEGMENT_64)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED, "thread %d runs 32-bit code just now",
				       (int)thread->tid);
	if (status.shadow_stack)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "thread %d has a shadow stack, which bars the way back from "
				       "an injected call",
				       (int)thread->tid);
	struct cprof_error *err =
		check_dispatch(thread, call_ip, return_ip, status.caught, ret_untold);
	return err ? err : check_seccomp(thread, status.seccomp, calls, call_ip, return_ip);
}
