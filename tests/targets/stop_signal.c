/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stop_signal - sleeps in epoll_wait without a time limit and ends by SIGTERM, in the way of programs that wait for its EINTR.
 *
 * Its handler only sets a word, so an interrupted call that was made again would sleep for ever.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

int main(void)
{
	struct epoll_event event;
	struct sigaction term = { .sa_handler = on_term };
	unsigned long interrupted = 0;
	int fd = epoll_create1(0);
	sigaction(SIGTERM, &term, NULL);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	while (!stop)
		interrupted += epoll_wait(fd, &event, 1, -1) < 0 && errno == EINTR;
	printf("interrupted %lu\n", interrupted);
	return 0;
}
