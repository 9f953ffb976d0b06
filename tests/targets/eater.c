/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes memory until it is killed for that.
 *
 *     eater CGROUP_PROCS
 *
 * Joins the cgroup whose cgroup.procs file is named, prints "pid N" and "ready", and from then on four threads take
 * memory as fast as they get it while eight others sleep.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE ((size_t)256 << 10)

static void *sleeper(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void *eater(void *arg)
{
	pthread_setname_np(pthread_self(), "eater");
	for (;;) {
		char *piece = malloc(PIECE);
		if (piece)
			memset(piece, 1, PIECE);
		usleep(500);
	}
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	FILE *procs = argc > 1 ? fopen(argv[1], "w") : NULL;
	if (!procs || fprintf(procs, "%d", (int)getpid()) < 0 || fclose(procs) != 0)
		return 1;
	for (int i = 0; i < 8; i++)
		pthread_create(&thread, NULL, sleeper, NULL);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	for (int i = 0; i < 4; i++)
		pthread_create(&thread, NULL, eater, NULL);
	for (;;)
		pause();
}
