/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/program.h"

#define ABORTED 130 /* 128 + SIGINT, as a shell reports it */

/* A signal handler can reach nothing but globals. */
static int event_fd = -1, hangup_fd = -1, user_fds[2] = { -1, -1 };
static atomic_int asked, held;
static int seen; /* of asked, when the file was begun */
static const struct cprof_new_file *_Atomic unfinished;
static const struct termios *_Atomic terminal;

/*
 * A shell without job control starts background jobs with SIGINT ignored (POSIX, "Signals and Error Handling"), so that
 * Ctrl-C, which the terminal sends to all of them, does not end what runs beside. A kill(1) means us all the same.
 */
static bool ignores_terminal;

/* The terminal that it was started from, which is no terminal any more once that has gone. */
static bool had_terminal;

static void tell(int fd)
{
	uint64_t one = 1;
	if (write(fd, &one, sizeof(one)) < 0) {
		/* Only a full counter can fail, and then the descriptor is readable already. */
	}
}

/* signal-safety(7) has all that is called here. */
static bool leave_stuck_terminal(void)
{
	const struct termios *found = atomic_load(&terminal);
	struct pollfd ready = { .fd = STDOUT_FILENO, .events = POLLOUT };
	if (!found || poll(&ready, 1, 0) != 0)
		return false;
	tcsetattr(STDIN_FILENO, TCSANOW, found);
	return true;
}

static void handle(int signal_no, siginfo_t *info, void *context)
{
	(void)context;
	int saved = errno;
	if (signal_no == SIGINT && ignores_terminal && info && info->si_code == SI_KERNEL)
		return;
	if (signal_no == SIGHUP && hangup_fd >= 0 && info && info->si_code != SI_KERNEL &&
	    (!had_terminal || isatty(STDERR_FILENO))) {
		tell(hangup_fd);
		errno = saved;
		return;
	}
	tell(event_fd);
	if (atomic_fetch_add(&asked, 1) >= 1 && (!atomic_load(&held) || leave_stuck_terminal())) {
		const struct cprof_new_file *file = atomic_load(&unfinished);
		if (file && file->temp[0])
			unlinkat(file->place.dir, file->temp, 0);
		_exit(ABORTED);
	}
	errno = saved;
}

struct cprof_error *cprof_interrupt_init(int *ret_fd)
{
	event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (event_fd < 0)
		return cprof_error_os(errno, "eventfd");
	struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_RESTART | SA_SIGINFO };
	for (const int *ends = cprof_program_ending_signals; *ends; ends++) {
		struct sigaction before;
		const bool ignored =
			sigaction(*ends, NULL, &before) == 0 && before.sa_handler == SIG_IGN;
		if (*ends == SIGINT)
			ignores_terminal = ignored;
		else if (ignored && *ends != SIGTERM)
			continue; /* nohup(1) does that on purpose */
		sigaction(*ends, &action, NULL);
	}
	signal(SIGPIPE, SIG_IGN);
	*ret_fd = event_fd;
	return NULL;
}

struct cprof_error *cprof_interrupt_hangups(int *ret_fd)
{
	struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_RESTART | SA_SIGINFO };
	had_terminal = isatty(STDERR_FILENO);
	hangup_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (hangup_fd < 0)
		return cprof_error_os(errno, "eventfd");
	sigaction(SIGHUP, &action, NULL); /* also below nohup(1): it ends nothing here */
	*ret_fd = hangup_fd;
	return NULL;
}

static void handle_user(int signal_no)
{
	int saved = errno;
	tell(user_fds[signal_no == SIGUSR2]);
	errno = saved;
}

struct cprof_error *cprof_interrupt_users(int ret_fds[2])
{
	struct sigaction action = { .sa_handler = handle_user, .sa_flags = SA_RESTART };
	for (size_t i = 0; i < 2; i++) {
		user_fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (user_fds[i] < 0)
			return cprof_error_os(errno, "eventfd");
		sigaction(i ? SIGUSR2 : SIGUSR1, &action, NULL);
		ret_fds[i] = user_fds[i];
	}
	return NULL;
}

int cprof_interrupt_count(void)
{
	return atomic_load(&asked);
}

void cprof_interrupt_unlink(const struct cprof_new_file *file)
{
	seen = cprof_interrupt_count();
	atomic_store(&unfinished, file);
}

bool cprof_interrupt_again(void)
{
	return cprof_interrupt_count() > seen;
}

void cprof_interrupt_hold(bool hold)
{
	atomic_fetch_add(&held, hold ? 1 : -1);
}

void cprof_interrupt_terminal(const struct termios *found)
{
	atomic_store(&terminal, found);
}
