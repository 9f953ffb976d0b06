/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An OpenMP team between its parallel regions, and a critical section that its threads fight for when asked to.
 *
 *   pools_openmp [critical]
 *
 * Prints "pid N", "ready"; ends at SIGTERM with "jobs N".
 */
#include <omp.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t over;
static volatile unsigned jobs;

static void end(int sig)
{
	(void)sig;
	over = 1;
}

static void nap(long ns)
{
	nanosleep(&(struct timespec){ .tv_nsec = ns }, NULL);
}

static void region(int critical)
{
#pragma omp parallel num_threads(6)
	{
		if (critical) {
#pragma omp critical
			nap(2000000);
		}
	}
	jobs++;
}

int main(int argc, char **argv)
{
	(void)argv;
	signal(SIGTERM, end);
	region(0);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	while (!over) {
		region(argc > 1);
		nap(50000000);
	}
	printf("jobs %u\n", jobs);
	return 0;
}
