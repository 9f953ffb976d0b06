/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain_frames [touch] - alloca, frames of 20 KB, a stack realigned to 64 bytes (DRAP). Unless told to, the large
 * frame is not written to: a sample's copy of the stack ends at the first page that is not there yet.
 */
#include <alloca.h>

#include "chain.h"

static int touch;

static NOINLINE void with_alloca(size_t n)
{
	char *bytes = alloca(n);
	memset(bytes, 1, n);
	spin();
	chain_sink = (uint64_t)bytes[n / 2];
}

static NOINLINE void with_large_frame(size_t n)
{
	volatile char bytes[20000];
	for (size_t i = 0; touch && i < sizeof(bytes); i += 64)
		bytes[i] = 1;
	bytes[n] = 1;
	with_alloca(n);
	bytes[n + 1] = bytes[n];
}

/* An aligned local and alloca in one function: the CFA can be had only by a word stored in the frame. */
static NOINLINE void realigned(size_t n)
{
	uint64_t vector[8] __attribute__((aligned(64))) = { n };
	char *bytes = alloca(n);
	__asm__ volatile("" : : "r"(vector), "r"(bytes) : "memory");
	with_large_frame(n);
	__asm__ volatile("" : : "r"(vector), "r"(bytes) : "memory");
}

static NOINLINE void realigned_again(size_t n)
{
	uint64_t vector[8] __attribute__((aligned(64))) = { n };
	__asm__ volatile("" : : "r"(vector) : "memory");
	realigned(n);
	__asm__ volatile("" : : "r"(vector) : "memory");
}

int main(int argc, char **argv)
{
	(void)argv;
	touch = argc > 1;
	printf("chain spin;with_alloca;with_large_frame;realigned;realigned_again;main\n");
	chain_ready();
	realigned_again(100 + (size_t)argc);
	return 0;
}
