/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap_new - allocates the same amount by operator new, in by_new(), and by malloc, in by_malloc(), until SIGTERM.
 */
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <unistd.h>

static __attribute__((noinline)) void by_new(size_t n)
{
	char *block = new char[n];
	__asm__ volatile("" ::"r"(block) : "memory");
	delete[] block;
}

static __attribute__((noinline)) void by_malloc(size_t n)
{
	void *block = malloc(n);
	__asm__ volatile("" ::"r"(block) : "memory");
	free(block);
}

int main()
{
	signal(SIGTERM, [](int) { _exit(0); });
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	for (size_t i = 0;; i++) {
		by_new(4000 + i % 7);
		by_malloc(4000 + i % 7);
		if (i % 1000 == 0)
			usleep(1000);
	}
}
