/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/environment.h"

#define NOT_FOUND      127 /* as a shell reports it */
#define NOT_EXECUTABLE 126

/* Without a set-user-ID bit this changes nothing; what file capabilities gave is taken away by the kernel at the exec. */
static bool be_the_caller(void)
{
	return setresgid(getgid(), getgid(), getgid()) == 0 &&
	       setresuid(getuid(), getuid(), getuid()) == 0;
}

/*
 * In the child. Our own signal handlers come after the fork, so the command gets the dispositions that we were started
 * with (nohup's, a shell's background job's). Never returns.
 */
static _Noreturn void become(char **argv, int go_fd, int exec_fd)
{
	char byte;
	if (read(go_fd, &byte, 1) != 1 || !argv[0])
		_exit(0);
	int why = be_the_caller() ? 0 : errno;
	if (!why) {
		environ = cprof_environment_of_caller();
		execvp(argv[0], argv);
		why = errno;
	}
	if (write(exec_fd, &why, sizeof(why)) != sizeof(why)) {
		/* The parent is gone; the exit status still says it. */
	}
	_exit(why == ENOENT ? NOT_FOUND : NOT_EXECUTABLE);
}

struct cprof_error *cprof_launch_start(const struct cprof_strings *command,
				       struct cprof_launch *ret_launch)
{
	CPROF_AUTO(free) char **argv = calloc(command->len + 1, sizeof(*argv));
	if (!argv)
		return cprof_error_no_memory();
	for (size_t i = 0; i < command->len; i++)
		argv[i] = (char *)(uintptr_t)command->items[i];

	int go[2], exec[2];
	if (pipe2(go, O_CLOEXEC) < 0)
		return cprof_error_os(errno, "pipe");
	if (pipe2(exec, O_CLOEXEC) < 0) {
		struct cprof_error *err = cprof_error_os(errno, "pipe");
		close(go[0]);
		close(go[1]);
		return err;
	}
	pid_t pid = fork();
	int why = errno;
	if (pid == 0) {
		close(go[1]); /* else we would keep our own pipe open when the parent dies */
		become(argv, go[0], exec[1]);
	}
	close(go[0]);
	close(exec[1]);
	if (pid < 0) {
		close(go[1]);
		close(exec[0]);
		return cprof_error_os(why, "fork");
	}
	*ret_launch = (struct cprof_launch){ .pid = pid, .go_fd = go[1], .exec_fd = exec[0] };
	return NULL;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void cprof_launch_go(struct cprof_launch *launch)
{
	ssize_t n;
	if (write(launch->go_fd, "g", 1) != 1) {
		/* It was killed while it waited; then the read below finds the end. */
	}
	close_fd(&launch->go_fd);
	do {
		n = read(launch->exec_fd, &launch->exec_errno, sizeof(launch->exec_errno));
	} while (n < 0 && errno == EINTR);
	close_fd(&launch->exec_fd);
}

int cprof_launch_wait(struct cprof_launch *launch)
{
	int status;
	while (waitpid(launch->pid, &status, 0) < 0) {
		if (errno != EINTR)
			return 1;
	}
	launch->pid = 0;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void cprof_launch_deinit(struct cprof_launch *launch)
{
	if (!launch->pid)
		return;
	bool waits = launch->go_fd >= 0;
	close_fd(&launch->go_fd);
	close_fd(&launch->exec_fd);
	if (waits)
		cprof_launch_wait(launch);
}
