/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Page faults in bursts: `heavy` touches five times as many new pages as `light`, and both do nothing between two bursts.
 * Every tenth burst is a new thread's; every hundredth time a child process touches pages of its own.
 *
 *   event_burst [MICROSECONDS]      between two bursts; 1000
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE  4096
#define HEAVY 50
#define LIGHT 10

static volatile sig_atomic_t ended;

static void end(int signal_number)
{
	(void)signal_number;
	ended = 1;
}

__attribute__((noinline)) void heavy(volatile char *pages)
{
	for (int i = 0; i < HEAVY; i++)
		pages[i * PAGE] = 1;
}

__attribute__((noinline)) void light(volatile char *pages)
{
	for (int i = 0; i < LIGHT; i++)
		pages[i * PAGE] = 1;
}

static void *burst(void *unused)
{
	size_t bytes = (size_t)(HEAVY + LIGHT) * PAGE;
	char *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	(void)unused;
	if (pages == MAP_FAILED)
		abort();
	madvise(pages, bytes, MADV_NOHUGEPAGE);
	heavy(pages);
	light(pages + (size_t)HEAVY * PAGE);
	munmap(pages, bytes);
	return NULL;
}

static void burst_of_a_thread(void)
{
	pthread_t thread;
	if (pthread_create(&thread, NULL, burst, NULL) != 0)
		abort();
	pthread_join(thread, NULL);
}

static void bursts_of_a_child(void)
{
	pid_t child = fork();
	for (int i = 0; child == 0 && i < 20; i++)
		burst(NULL);
	if (child == 0)
		_exit(0);
	waitpid(child, NULL, 0);
}

int main(int argc, char **argv)
{
	useconds_t pause_us = argc > 1 ? (useconds_t)atoi(argv[1]) : 1000;
	signal(SIGTERM, end);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	for (unsigned i = 0; !ended; i++) {
		if (i % 10 == 9)
			burst_of_a_thread();
		else
			burst(NULL);
		if (i % 100 == 50)
			bursts_of_a_child();
		usleep(pause_us);
	}
	return 0;
}
