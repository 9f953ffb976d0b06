/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stops_vfork - one thread may wait for a vfork child, which nobody can stop, while another measures how long it is not let run.
 *
 * Told on stdin: "vfork" begins one, and is answered when the child is there; "over" ends it; "longest" is answered with the
 * longest time in ms between two turns of the other thread since the last such question, less what it waited for a processor;
 * "quit" ends with "all well".
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int child_there[2], child_over[2];
static _Atomic uint64_t longest_ns;

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void *wait_for_child(void *arg)
{
	char byte = 0;
	if (vfork() == 0) {
		if (write(child_there[1], "x", 1) == 1)
			_exit(read(child_over[0], &byte, 1) == 1 ? 0 : 1);
		_exit(1);
	}
	wait(NULL);
	return arg;
}

/* How long this thread has waited for a processor so far: what a busy machine takes, and nobody's stop. */
static uint64_t queued_ns(void)
{
	unsigned long long queued = 0;
	FILE *file = fopen("/proc/thread-self/schedstat", "r");
	if (file && fscanf(file, "%*u %llu", &queued) != 1)
		queued = 0;
	if (file)
		fclose(file);
	return queued;
}

static void *measure(void *arg)
{
	uint64_t last = now_ns(), last_queued = queued_ns();
	for (;;) {
		void *volatile block = malloc(1000);
		free(block);
		usleep(500);
		uint64_t now = now_ns(), queued = queued_ns();
		uint64_t held_ns = now - last;
		held_ns -= queued - last_queued < held_ns ? queued - last_queued : held_ns;
		if (held_ns > longest_ns)
			longest_ns = held_ns;
		last = now;
		last_queued = queued;
	}
	return arg;
}

static void answer(const char *text)
{
	puts(text);
	fflush(stdout);
}

int main(void)
{
	pthread_t thread, forker;
	char line[64], byte;
	if (pipe(child_there) || pipe(child_over) || pthread_create(&thread, NULL, measure, NULL))
		return 2;
	printf("pid %d\n", (int)getpid());
	answer("ready");
	while (fgets(line, sizeof(line), stdin)) {
		if (strcmp(line, "vfork\n") == 0) {
			if (pthread_create(&forker, NULL, wait_for_child, NULL) ||
			    read(child_there[0], &byte, 1) != 1)
				return 2;
			answer("done");
		} else if (strcmp(line, "over\n") == 0) {
			if (write(child_over[1], "x", 1) != 1 || pthread_join(forker, NULL))
				return 2;
			answer("done");
		} else if (strcmp(line, "longest\n") == 0) {
			printf("%llu\n", (unsigned long long)(longest_ns / 1000000));
			answer("done");
			longest_ns = 0;
		} else {
			break;
		}
	}
	answer("all well");
	return 0;
}
