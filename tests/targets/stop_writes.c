/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stop_writes - always in a write to a full pipe, which takes a while: has any of them done less than it was asked to?
 *
 * Prints "ready"; SIGTERM ends it with "short N of M". The other end reads in small pieces, and takes a longer pause at the end of each
 * write, in which nothing of the next one has been written.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PIECE 4096
#define WHOLE ((ssize_t)20 * PIECE)

static int fds[2];
static volatile sig_atomic_t over;

static void on_term(int sig)
{
	(void)sig;
	over = 1;
}

/* The pipe is full whenever a write ends, so ends are 20 pieces apart; the first is when so much is left as it holds. */
static void *read_slowly(void *arg)
{
	char piece[PIECE];
	int held = fcntl(fds[0], F_GETPIPE_SZ);
	(void)arg;
	for (size_t got = 0; read(fds[0], piece, PIECE) == PIECE;) {
		got += PIECE;
		bool ends = (got + (size_t)held) % (size_t)WHOLE == 0;
		const struct timespec pause = { .tv_nsec = ends ? 500000000 : 5000000 };
		nanosleep(&pause, NULL);
	}
	return NULL;
}

int main(void)
{
	static char whole[WHOLE];
	unsigned long cut = 0, writes = 0;
	pthread_t thread;
	const struct sigaction term = { .sa_handler = on_term, .sa_flags = SA_RESTART };
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (pipe(fds) || pthread_create(&thread, NULL, read_slowly, NULL))
		return 1;
	sigaction(SIGTERM, &term, NULL);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	free(malloc(1));
	for (; !over; writes++) {
		cut += write(fds[1], whole, WHOLE) != WHOLE;
		pthread_sigmask(SIG_UNBLOCK, &set, NULL); /* between two writes only */
		pthread_sigmask(SIG_BLOCK, &set, NULL);
	}
	printf("short %lu of %lu\n", cut, writes);
	return 0;
}
