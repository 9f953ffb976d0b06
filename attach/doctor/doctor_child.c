/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/doctor/doctor_child.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Where our file has capabilities, a process of ours is one that others may not look at; the one to be tried on is like any. */
static void sleep_until_let_go(int hold_fd, int tell_fd)
{
	const pid_t self = getpid();
	char byte;
	prctl(PR_SET_DUMPABLE, 1);
	if (write(tell_fd, &self, sizeof(self)) != sizeof(self))
		return;
	close(tell_fd);
	while (read(hold_fd, &byte, 1) < 0 && errno == EINTR)
		;
}

/* Its parent ends at once, so that it is no descendant of ours. */
static void fork_again(int hold_fd, int tell_fd)
{
	if (fork() == 0)
		sleep_until_let_go(hold_fd, tell_fd);
	_exit(0);
}

struct cprof_error *cprof_doctor_child_start(struct cprof_doctor_child *child)
{
	int hold[2], tell[2];
	if (pipe2(hold, O_CLOEXEC))
		return cprof_error_os(errno, "pipe");
	CPROF_AUTO(close) int hold_end = hold[0];
	CPROF_AUTO(close) int hold_fd = hold[1];
	if (pipe2(tell, O_CLOEXEC))
		return cprof_error_os(errno, "pipe");
	CPROF_AUTO(close) int told = tell[0];
	CPROF_AUTO(close) int tell_end = tell[1];
	const pid_t between = fork();
	if (between < 0)
		return cprof_error_os(errno, "start a process to try on");
	if (between == 0) {
		close(hold_fd);
		fork_again(hold_end, tell_end);
	}
	close(cprof_take_fd(&tell_end));
	while (waitpid(between, NULL, 0) < 0 && errno == EINTR)
		;
	pid_t pid;
	if (read(told, &pid, sizeof(pid)) != sizeof(pid))
		return cprof_error_new(CPROF_ERR_OS, "start a process to try on: it ended at once");
	*child = (struct cprof_doctor_child){ .pid = pid, .hold_fd = cprof_take_fd(&hold_fd) };
	return NULL;
}

void cprof_doctor_child_end(struct cprof_doctor_child *child)
{
	if (child->pid)
		close(child->hold_fd);
	*child = (struct cprof_doctor_child){ 0 };
}
