/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process whose address space is locked by a thread that hangs in the kernel.
 *
 *     hung_unmap FILE
 *
 * FILE is on a file system that never finishes a write (tests/e2e/hangfs.py). Prints "pid N" and "ready"; told "h" on stdin,
 * one thread unmaps a page of it that was changed, which holds the lock of the address space until the page is written;
 * another one maps something, and from then on nobody gets that lock. Says "hung" then. Ends on SIGKILL once the
 * file system is gone.
 */
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "settle.h"

static char *page;
static sem_t go[2];
static pid_t tids[2];

static void *unmapper(void *arg)
{
	(void)arg;
	pthread_setname_np(pthread_self(), "unmapper");
	tids[0] = settle_own_tid();
	sem_wait(&go[0]);
	munmap(page, 4096);
	return NULL;
}

static void *mapper(void *arg)
{
	(void)arg;
	pthread_setname_np(pthread_self(), "mapper");
	tids[1] = settle_own_tid();
	sem_wait(&go[1]);
	mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	char byte;
	int fd = argc > 1 ? open(argv[1], O_RDWR) : -1;
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return 1;
	page[0] = 'x';
	sem_init(&go[0], 0, 0);
	sem_init(&go[1], 0, 0);
	pthread_create(&thread, NULL, unmapper, NULL);
	pthread_create(&thread, NULL, mapper, NULL);
	settle(NULL);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	if (read(0, &byte, 1) != 1)
		return 0;
	/* Nothing from here on may need memory. */
	sem_post(&go[0]);
	settle_uninterruptible(tids[0]);
	sem_post(&go[1]);
	settle_uninterruptible(tids[1]);
	if (write(1, "hung\n", 5) != 5)
		return 1;
	for (;;)
		pause();
}
