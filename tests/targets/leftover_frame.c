/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocates, and is interrupted by a handler on an alternate stack until one of its signals has fallen on code that is nobody's
 * file and stands at or behind an offset of its mapping. Then no more signals come: that last frame is left on the stack.
 *
 *   leftover_frame OFFSET
 *
 * Prints "pid N", "ready", then "left" once there is such a frame; ends at SIGTERM with "all well".
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

static _Atomic uint64_t interrupted_at;
static atomic_bool quiet, over;
static uint64_t offset;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	const ucontext_t *at = context;
	atomic_store(&interrupted_at, (uint64_t)at->uc_mcontext.gregs[REG_RIP]);
}

static bool is_wanted(uint64_t addr)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[4096];
	bool found = false;
	while (maps && fgets(line, sizeof(line), maps)) {
		unsigned long start, end, inode;
		char prot[8], name[16] = "";
		if (sscanf(line, "%lx-%lx %7s %*s %*s %lu %15s", &start, &end, prot, &inode, name) <
		    4)
			continue;
		if (addr - start < end - start)
			found = prot[2] == 'x' && !inode && name[0] != '[' &&
				addr - start >= offset;
	}
	if (maps)
		fclose(maps);
	return found;
}

/* Signals end while the one that waits for the frame looks at it. */
static void *interrupt(void *worker)
{
	const pthread_t thread = *(const pthread_t *)worker;
	while (!atomic_load(&over) && !atomic_load(&quiet)) {
		atomic_store(&interrupted_at, 0);
		pthread_kill(thread, SIGUSR1);
		uint64_t addr;
		while (!(addr = atomic_load(&interrupted_at)) && !atomic_load(&over))
			;
		if (is_wanted(addr)) {
			atomic_store(&quiet, true);
			puts("left");
		}
	}
	return NULL;
}

static void *work(void *unused)
{
	static char own[64 * 1024];
	const stack_t stack = { .ss_sp = own, .ss_size = sizeof(own) };
	(void)unused;
	sigaltstack(&stack, NULL);
	while (!atomic_load(&over)) {
		char *volatile block = malloc(100);
		memset(block, 1, 100);
		free(block);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	const struct sigaction action = { .sa_sigaction = on_signal,
					  .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };
	pthread_t worker, interrupter;
	sigset_t end;
	int sig;
	offset = argc > 1 ? strtoull(argv[1], NULL, 0) : 0;
	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &end, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (sigaction(SIGUSR1, &action, NULL) || pthread_create(&worker, NULL, work, NULL) ||
	    pthread_create(&interrupter, NULL, interrupt, &worker))
		return 1;
	printf("pid %d\nready\n", (int)getpid());
	sigwait(&end, &sig);
	atomic_store(&over, true);
	pthread_join(worker, NULL);
	pthread_join(interrupter, NULL);
	puts("all well");
	return 0;
}
