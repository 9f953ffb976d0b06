/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks and threads that nobody has seen before, for ever: a thread at a time, each with a name of its own, which works for some
 * milliseconds below twelve calls that are chosen by chance among four functions: 16 million stacks.
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define DEPTH 12

static volatile uint64_t sink;

static void call(uint32_t path, int depth);

#define STEP(name)                                                                                 \
	__attribute__((noinline)) static void name(uint32_t path, int depth)                       \
	{                                                                                          \
		call(path, depth);                                                                 \
		sink++; /* or it would be a jump */                                                \
	}
STEP(north)
STEP(east)
STEP(south)
STEP(west)

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

__attribute__((noinline)) static void call(uint32_t path, int depth)
{
	static void (*const steps[])(uint32_t, int) = { north, east, south, west };
	if (depth < DEPTH) {
		steps[path >> (2 * depth) & 3](path, depth + 1);
		sink++;
		return;
	}
	for (const uint64_t until = now_ns() + 2000000; now_ns() < until;)
		sink++;
}

static void *live(void *number)
{
	char name[16];
	uint32_t path = (uint32_t)(uintptr_t)number * 2654435761u;
	snprintf(name, sizeof(name), "no-%u", (unsigned)(uintptr_t)number);
	prctl(PR_SET_NAME, name);
	call(path ^ path >> 15, 0);
	return NULL;
}

static void end(int signal_no)
{
	(void)signal_no;
	_exit(0);
}

int main(void)
{
	signal(SIGTERM, end);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	for (uintptr_t i = 1;; i++) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, live, (void *)i) == 0)
			pthread_join(thread, NULL);
	}
}
