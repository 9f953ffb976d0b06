/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/ptrace_denied.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach/target/thread_proc.h"
#include "base/cleanup.h"

const char *cprof_ptrace_denied_hint(int yama_scope)
{
	switch (yama_scope) {
	case 1:
	case 2:
		return "kernel.yama.ptrace_scope forbids it: run as root (or with CAP_SYS_PTRACE), or "
		       "lower it: sysctl kernel.yama.ptrace_scope=0";
	case 3:
		return "kernel.yama.ptrace_scope is 3: nobody may trace before the next boot";
	default:
		return "run as the owner of the process or as root; kernel.yama.ptrace_scope must be 0 "
		       "or the capability CAP_SYS_PTRACE be there, and a container's seccomp filter "
		       "let ptrace through";
	}
}

static int yama_scope(void)
{
	char digit = 0;
	CPROF_AUTO(close) int fd = open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, &digit, 1) == 1 && digit >= '0' && digit <= '9' ? digit - '0'
										   : -1;
}

pid_t cprof_ptrace_tracer(pid_t pid, pid_t tid)
{
	char text[4096];
	struct cprof_thread_status status;
	return cprof_thread_read(pid, tid, "status", text, sizeof(text)) > 0 &&
			       cprof_thread_status_parse(text, &status)
		       ? status.tracer
		       : 0;
}

struct cprof_error *cprof_ptrace_denied(pid_t pid, pid_t tid, int os_errno)
{
	pid_t tracer = cprof_ptrace_tracer(pid, tid);
	if (!tracer)
		return cprof_error_hint(
			cprof_error_os(os_errno, "PTRACE_SEIZE of thread %d", (int)tid), "%s",
			cprof_ptrace_denied_hint(yama_scope()));
	char name[CPROF_THREAD_NAME_MAX] = "?";
	if (cprof_thread_read(tracer, tracer, "comm", name, sizeof(name)) > 0)
		name[strcspn(name, "\n")] = 0;
	cprof_thread_name_clean(name);
	struct cprof_error *err =
		cprof_error_new(CPROF_ERR_DENIED, "process %d is being traced by %s (PID %d)",
				(int)pid, name, (int)tracer);
	return cprof_error_hint(err, "only one tracer at a time is possible: let %s detach first",
				name);
}
