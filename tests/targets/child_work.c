/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that is done by child processes: N of them, one after the other (pool: all at once), each for MS ms of processor time.
 *
 *   child_work fork|exec|spawn|pool N MS
 *
 * Each child prints "child PID". A pool works until the parent gets SIGTERM, and is ready once all its children are there.
 */
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
static volatile sig_atomic_t ended;
static volatile unsigned long turns;

static void end(int signal_number)
{
	(void)signal_number;
	ended = 1;
}

static double worked_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

__attribute__((noinline)) void in_child(double ms)
{
	double until = worked_ms() + ms;
	while (!ended && worked_ms() < until) {
		for (int i = 0; i < 100000; i++)
			turns++;
	}
}

static void work(const char *ms)
{
	printf("child %d\n", (int)getpid());
	fflush(stdout);
	in_child(atof(ms));
}

static pid_t start(const char *how, char *self, char *ms)
{
	char work_word[] = "work", *argv[] = { self, work_word, ms, NULL };
	pid_t child;
	if (strcmp(how, "spawn") == 0)
		return posix_spawn(&child, self, NULL, NULL, argv, environ) == 0 ? child : -1;
	child = fork();
	if (child == 0 && strcmp(how, "exec") == 0) {
		execv(self, argv);
		_exit(127);
	}
	if (child == 0) {
		work(ms);
		_exit(0);
	}
	return child;
}

static void pool(char *self, int n, char *ms)
{
	pid_t children[64];
	for (int i = 0; i < n && i < 64; i++)
		children[i] = start("fork", self, ms);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	while (!ended)
		pause();
	for (int i = 0; i < n && i < 64; i++) {
		kill(children[i], SIGTERM);
		waitpid(children[i], NULL, 0);
	}
}

int main(int argc, char **argv)
{
	signal(SIGTERM, end);
	if (argc == 3)
		work(argv[2]);
	else if (argc == 4 && strcmp(argv[1], "pool") == 0)
		pool(argv[0], atoi(argv[2]), argv[3]);
	else if (argc == 4) {
		for (int i = 0; i < atoi(argv[2]); i++)
			waitpid(start(argv[1], argv[0], argv[3]), NULL, 0);
	}
	return 0;
}
