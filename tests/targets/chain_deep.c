/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain_deep FRAMES BYTES [flip] - a recursion of so many frames of about so many bytes.
 *
 * flip: the recursion is left and entered again all the time, by turns through one function and through
 * another with a frame of the same size. A stack with both in it mixes two moments.
 */
#include <alloca.h>
#include <sys/resource.h>

#include "chain.h"

static int flip;

static NOINLINE void bottom(void)
{
	static int announced;
	uint64_t x = chain_sink;
	if (!announced++)
		chain_ready();
	do {
		for (int i = 0; i < (flip ? 300000 : 1000); i++)
			x = x * 6364136223846793005ull + 1442695040888963407ull;
		chain_sink = x;
	} while (!flip && !chain_stop);
}

#define DESCEND(name)                                                                              \
	static NOINLINE void name(long left, size_t bytes)                                         \
	{                                                                                          \
		char *local = bytes ? alloca(bytes) : (char *)&left;                               \
		__asm__ volatile("" : : "r"(local) : "memory");                                    \
		if (left > 1)                                                                      \
			name(left - 1, bytes);                                                     \
		else                                                                               \
			bottom();                                                                  \
		__asm__ volatile("" : : "r"(local) : "memory");                                    \
	}
DESCEND(descend)
DESCEND(other_way)

int main(int argc, char **argv)
{
	long frames = argc > 1 ? atol(argv[1]) : 100;
	size_t bytes = argc > 2 ? (size_t)atol(argv[2]) : 400;
	flip = argc > 3;
	/* The limit of the main stack is read when it grows. */
	struct rlimit limit = { 256 << 20, RLIM_INFINITY };
	setrlimit(RLIMIT_STACK, &limit);
	printf("chain bottom;descend{%ld};main\n", frames);
	if (flip)
		printf("chain bottom;other_way{%ld};main\n", frames);
	do {
		descend(frames, bytes);
		if (flip)
			other_way(frames, bytes);
	} while (!chain_stop);
	return 0;
}
