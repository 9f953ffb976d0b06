/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stops_dispatch - threads whose system calls are trapped in ways that Wine, emulators and sandboxes use.
 *
 * Usage: stops_dispatch all|libc|one|strict|notsc. "all": Syscall User Dispatch, nothing exempt; "libc": calls from the C
 * library's text are exempt; "one": a second thread is under nothing; "strict": a second thread is in seccomp's strict
 * mode; "notsc": reading the time stamp counter is a SIGSEGV. All allocate, and a thread under dispatch makes no system call
 * and its selector says BLOCK all the time, so that whatever reaches the handler is not its own. Ends on SIGTERM with "trapped N".
 * Exit status 77: the kernel has no such thing.
 */
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SET_DISPATCH 59 /* PR_SET_SYSCALL_USER_DISPATCH */
#define DISPATCH_ON  1
#define ALLOW        0
#define BLOCK        1

static volatile char selector = ALLOW;
static volatile sig_atomic_t stop, strict;
static _Atomic unsigned long trapped;

/* The way back from here is a system call too. */
static void on_term(int sig)
{
	(void)sig;
	selector = ALLOW;
	stop = 1;
}

static void on_trap(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info, (void)context;
	trapped++;
	selector = ALLOW;
}

static void find_libc(unsigned long *start, unsigned long *len)
{
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "r");
	while (maps && fgets(line, sizeof(line), maps)) {
		unsigned long from, to;
		if (strstr(line, "r-xp") && strstr(line, "libc") &&
		    sscanf(line, "%lx-%lx", &from, &to) == 2) {
			*start = from;
			*len = to - from;
		}
	}
	if (maps)
		fclose(maps);
}

/* Blocks of a size that the allocator keeps for the thread: no system call is needed for them. */
static void churn(void)
{
	for (int i = 0; i < 20000; i++) {
		char *volatile block = malloc(100);
		*block = 1;
		free(block);
	}
}

static void *free_thread(void *arg)
{
	while (!stop) {
		churn();
		usleep(1000);
	}
	return arg;
}

static void *strict_thread(void *arg)
{
	churn(); /* as in main */
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
		_exit(77);
	strict = 1;
	while (!stop)
		churn();
	syscall(SYS_exit, 0);
	return arg;
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "all";
	unsigned long start = 0, len = 0;
	pthread_t thread;
	sigset_t term;
	struct sigaction trap = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
	const struct sigaction end = { .sa_handler = on_term };
	sigaction(SIGSYS, &trap, NULL);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &term, NULL); /* for the threads */
	churn();                                 /* the arena and the cache are there from now on */
	if (strcmp(how, "libc") == 0)
		find_libc(&start, &len);
	if (strcmp(how, "one") == 0)
		pthread_create(&thread, NULL, free_thread, NULL);
	if (strcmp(how, "strict") == 0) {
		pthread_create(&thread, NULL, strict_thread, NULL);
		while (!strict)
			usleep(1000);
	} else if (strcmp(how, "notsc") == 0
			   ? prctl(PR_SET_TSC, PR_TSC_SIGSEGV)
			   : prctl(SET_DISPATCH, DISPATCH_ON, start, len, &selector)) {
		return 77;
	}
	sigaction(SIGTERM, &end, NULL);
	pthread_sigmask(SIG_UNBLOCK, &term, NULL);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	selector = BLOCK;
	while (!stop)
		churn();
	selector = ALLOW;
	printf("trapped %lu\n", trapped);
	return trapped != 0;
}
