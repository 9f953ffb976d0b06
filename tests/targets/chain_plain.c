/* SPDX-License-Identifier: Apache-2.0 */
/* chain_plain [thread] - ordinary -O2 code with many prologues and epilogues. */
#include <pthread.h>

#include "chain.h"

#ifndef CLOBBER_RBP /* empty where rbp is the frame pointer */
#define CLOBBER_RBP "rbp",
#endif

/* Saves and restores all callee-saved registers, and does little else: samples fall between pushes and pops. */
static NOINLINE uint64_t tick(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t d = a ^ b, e = b ^ c, f = a + c;
	__asm__ volatile(""
			 : "+r"(a), "+r"(d), "+r"(e), "+r"(f)::"rbx", CLOBBER_RBP "r12", "r13",
			   "r14", "r15", "memory");
	return a + d + e + f;
}

static NOINLINE uint64_t leaf(uint64_t x)
{
	for (int i = 0; i < 1000; i++)
		x += tick(x, x >> 3, x << 5);
	return x;
}

static NOINLINE uint64_t middle(uint64_t x)
{
	uint64_t y = leaf(x);
	NOT_TAIL();
	return y + x;
}

static NOINLINE void outer(void)
{
	while (!chain_stop)
		chain_sink = middle(chain_sink);
	NOT_TAIL();
}

static void *thread_main(void *arg)
{
	(void)arg;
	outer();
	NOT_TAIL();
	return NULL;
}

int main(int argc, char **argv)
{
	const char *base = argc > 1 ? "thread_main" : "main";
	printf("chain tick;leaf;middle;outer;%s\nchain leaf;middle;outer;%s\n", base, base);
	printf("chain middle;outer;%s\nchain outer;%s\n", base, base);
	(void)argv;
	if (argc > 1) {
		pthread_t thread;
		pthread_create(&thread, NULL, thread_main, NULL);
		chain_ready();
		pthread_join(thread, NULL);
		return 0;
	}
	chain_ready();
	outer();
	return 0;
}
