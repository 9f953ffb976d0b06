/* SPDX-License-Identifier: Apache-2.0 */
#include "base/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

const int cprof_program_ending_signals[] = { SIGINT,  SIGTERM, SIGHUP,  SIGQUIT,   SIGUSR1,
					     SIGUSR2, SIGALRM, SIGXCPU, SIGVTALRM, SIGPROF,
					     SIGIO,   SIGPWR,  0 };

static void go_on(int signal_no)
{
	(void)signal_no;
}

static void meet_file_limit(void)
{
	/* Caught, and not ignored: execve(2) hands down what is ignored. */
	const struct sigaction caught = { .sa_handler = go_on, .sa_flags = SA_RESTART };
	struct sigaction before;
	if (sigaction(SIGXFSZ, NULL, &before) == 0 && before.sa_handler == SIG_DFL)
		sigaction(SIGXFSZ, &caught, NULL);
}

static void fill_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		/* Of those below none is free: this is the lowest. */
		int got = open("/dev/null", (fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
		if (got < 0)
			return;
	}
}

void cprof_program_start(void)
{
	fill_descriptors();
	meet_file_limit();
}

struct cprof_error *cprof_program_end(void)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return NULL;
	if (errno)
		return cprof_error_os(errno, "write to stdout");
	return cprof_error_new(CPROF_ERR_OS, "not all could be written to stdout");
}
