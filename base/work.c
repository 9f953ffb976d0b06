/* SPDX-License-Identifier: Apache-2.0 */
#include "base/work.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/program.h"

enum { STOP_FD = 3, RESULT_FD, ASK_FD, FIRST_FREE_FD };

/* Move them to where nothing else is, then close all others: other clients' connections above all. */
static void keep_only(int stop_fd, int result_fd, int ask_fd)
{
	const int stop = fcntl(stop_fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
	const int result = fcntl(result_fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
	const int ask = ask_fd >= 0 ? fcntl(ask_fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD) : -1;
	dup3(stop, STOP_FD, O_CLOEXEC);
	dup3(result, RESULT_FD, O_CLOEXEC);
	if (ask >= 0)
		dup3(ask, ASK_FD, O_CLOEXEC);
	close_range(ask >= 0 ? FIRST_FREE_FD : ASK_FD, ~0u, 0);
}

_Noreturn static void run(const char *name, cprof_work_fn *fn, void *ctx, int stop_fd,
			  int result_fd, int ask_fd)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	sigset_t none;
	/*
	 * The terminal sends them to all, and so may who means the parent. None is left with the parent's handler, which would write
	 * to descriptors that are others here.
	 */
	for (const int *ends = cprof_program_ending_signals; *ends; ends++)
		signal(*ends, SIG_IGN);
	signal(SIGTSTP,
	       SIG_IGN); /* who is stopped by Ctrl-Z while he holds a target would stop that */
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_NAME, name);
	keep_only(stop_fd, result_fd, ask_fd);
	struct cprof_error *err = fn(ctx, STOP_FD, ask_fd >= 0 ? ASK_FD : -1, &bytes);
	if (!err)
		err = cprof_buffer_error(&bytes);
	cprof_work_result_send(RESULT_FD, err, &bytes);
	_exit(0);
}

/* Signals are blocked meanwhile: the parent's handler would write to the parent's descriptors. */
static pid_t fork_quietly(sigset_t *before)
{
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, before);
	return fork();
}

struct cprof_error *cprof_work_start(const char *name, cprof_work_fn *fn, void *ctx, int ask_fd,
				     struct cprof_work *ret_work)
{
	int stop[2], result[2];
	if (pipe2(stop, O_CLOEXEC) != 0)
		return cprof_error_os(errno, "pipe2");
	CPROF_AUTO(close) int stop_read = stop[0];
	CPROF_AUTO(close) int stop_write = stop[1];
	if (pipe2(result, O_CLOEXEC) != 0)
		return cprof_error_os(errno, "pipe2");
	CPROF_AUTO(close) int result_read = result[0];
	CPROF_AUTO(close) int result_write = result[1];
	fcntl(result_read, F_SETFL, O_NONBLOCK);
	sigset_t before;
	const pid_t pid = fork_quietly(&before);
	const int os_errno = errno;
	if (pid == 0)
		run(name, fn, ctx, stop_read, result_write, ask_fd);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (pid < 0)
		return cprof_error_os(os_errno, "fork");
	*ret_work = (struct cprof_work){ .pid = pid,
					 .stop_fd = cprof_take_fd(&stop_write),
					 .reader = { .fd = cprof_take_fd(&result_read) } };
	return NULL;
}

void cprof_work_ask_end(struct cprof_work *work)
{
	if (work->stop_fd >= 0)
		close(work->stop_fd);
	work->stop_fd = -1;
}

void cprof_work_end(struct cprof_work *work)
{
	cprof_work_ask_end(work);
	cprof_work_reader_deinit(&work->reader);
	*work = CPROF_WORK_NONE;
}

struct cprof_error *cprof_work_watch(int *ret_fd)
{
	sigset_t ended;
	sigemptyset(&ended);
	sigaddset(&ended, SIGCHLD);
	sigprocmask(SIG_BLOCK, &ended, NULL);
	const int fd = signalfd(-1, &ended, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return cprof_error_os(errno, "signalfd");
	*ret_fd = fd;
	return NULL;
}

bool cprof_work_reap(int watch_fd)
{
	struct signalfd_siginfo told;
	pid_t pid;
	while (read(watch_fd, &told, sizeof(told)) > 0)
		;
	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0 || (pid < 0 && errno == EINTR))
		;
	return pid == 0;
}
