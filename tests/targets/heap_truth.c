/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap_truth - allocates what it is told to, and says exactly what that was.
 *
 * Reads commands from stdin, a line each, and answers "done" after each of them:
 *   every     each allocator function, 100 blocks each; every other block is freed
 *   mixed N S N blocks of skewed sizes drawn from seed S, from three call chains; some are kept
 *   drop      frees everything that was kept
 *   load      opens heap_pool, an allocator of its own, with dlopen (not in static programs)
 *   pool      100 blocks from that; every other one is freed
 *   filter    puts itself under a seccomp filter, which allows everything
 *   fork      forks a child that allocates, frees, and exits 0 if all went well
 *   quit
 * Before "done" come lines "truth FUNCTION objects bytes live_objects live_bytes", one per chain. It uses neither stdio
 * nor other functions that allocate.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCKS 100
#define KEPT   (1u << 20)

static void *kept[KEPT];
static size_t n_kept;

static void say(const char *format, ...)
{
	char text[256];
	va_list ap;
	va_start(ap, format);
	int n = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (write(1, text, (size_t)n) != n)
		_exit(3);
}

static void keep(void *block)
{
	if (!block || n_kept == KEPT)
		_exit(4);
	memset(block, 0xa5, 1);
	kept[n_kept++] = block;
}

/* ---- one function per way to allocate, so that each is a stack of its own ---- */

#define WAY(name, expression)                                                                      \
	static __attribute__((noinline)) void *name(size_t n)                                      \
	{                                                                                          \
		void *block = (expression);                                                        \
		__asm__ volatile("# " #name : "+r"(block));                                        \
		return block;                                                                      \
	}

static void *aligned_out(size_t n)
{
	void *block = NULL;
	return posix_memalign(&block, 256, n) ? NULL : block;
}

WAY(way_malloc, malloc(n))
WAY(way_calloc, calloc(n / 4, 4))
WAY(way_realloc_null, realloc(NULL, n))
WAY(way_realloc_grow, realloc(malloc(24), n))
WAY(way_memalign, memalign(64, n))
WAY(way_memalign_small, memalign(16, n))
WAY(way_aligned_alloc, aligned_alloc(32, n))
WAY(way_posix_memalign, aligned_out(n))
#ifndef HEAP_TRUTH_NO_VALLOC
WAY(way_valloc, valloc(n))
#endif

static const struct {
	const char *name;
	void *(*way)(size_t n);
	size_t extra; /* bytes of another block, allocated and freed along with each */
} ways[] = {
	{ "way_malloc", way_malloc, 0 },
	{ "way_calloc", way_calloc, 0 },
	{ "way_realloc_null", way_realloc_null, 0 },
	{ "way_realloc_grow", way_realloc_grow, 24 },
	{ "way_memalign", way_memalign, 0 },
	{ "way_memalign_small", way_memalign_small, 0 },
	{ "way_aligned_alloc", way_aligned_alloc, 0 },
	{ "way_posix_memalign", way_posix_memalign, 0 },
#ifndef HEAP_TRUTH_NO_VALLOC
	{ "way_valloc", way_valloc, 0 },
#endif
};

static void every(void)
{
	for (size_t w = 0; w < sizeof(ways) / sizeof(ways[0]); w++) {
		size_t bytes = 0, live = 0, objects = 0;
		for (size_t i = 0; i < BLOCKS; i++) {
			size_t n = 32 + 32 * i;
			void *block = ways[w].way(n);
			bytes += n + ways[w].extra;
			objects += 1 + (ways[w].extra > 0);
			if (i % 2) {
				free(block);
			} else {
				keep(block);
				live += n;
			}
		}
		say("truth %s %zu %zu %d %zu\n", ways[w].name, objects, bytes, BLOCKS / 2, live);
	}
}

/* ---- a skewed mixture ---- */

static uint32_t next(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static size_t skewed(uint32_t *state)
{
	unsigned shift = next(state) % 14;
	return 16 + next(state) % (32u << shift);
}

WAY(chain_a, malloc(n))
WAY(chain_b, malloc(n))
WAY(chain_c, calloc(1, n))

static void mixed(uint32_t n, uint32_t seed)
{
	static const char *const names[] = { "chain_a", "chain_b", "chain_c" };
	size_t objects[3] = { 0 }, bytes[3] = { 0 }, live_objects[3] = { 0 }, live[3] = { 0 };
	uint32_t state = seed * 2654435761u + 12345;
	for (uint32_t i = 0; i < n; i++) {
		unsigned chain = next(&state) % 3;
		size_t size = skewed(&state);
		void *block = chain == 0   ? chain_a(size)
			      : chain == 1 ? chain_b(size)
					   : chain_c(size);
		objects[chain]++;
		bytes[chain] += size;
		if (next(&state) % 8 == 0 && n_kept < KEPT) {
			keep(block);
			live_objects[chain]++;
			live[chain] += size;
		} else {
			free(block);
		}
	}
	for (int c = 0; c < 3; c++)
		say("truth %s %zu %zu %zu %zu\n", names[c], objects[c], bytes[c], live_objects[c],
		    live[c]);
}

#ifdef HEAP_TRUTH_POOL
static void *(*pool_malloc)(size_t);
static void (*pool_free)(void *);

static void load(void)
{
	void *library = dlopen(HEAP_TRUTH_POOL, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		_exit(5);
	pool_malloc = (void *(*)(size_t))dlsym(library, "malloc");
	pool_free = (void (*)(void *))dlsym(library, "free");
}

WAY(way_pool, pool_malloc(n))

static void pool(void)
{
	size_t bytes = 0, live = 0;
	for (size_t i = 0; i < BLOCKS; i++) {
		size_t n = 100 + i;
		void *block = way_pool(n);
		bytes += n;
		if (i % 2)
			pool_free(block);
		else
			live += n;
	}
	say("truth way_pool %d %zu %d %zu\n", BLOCKS, bytes, BLOCKS / 2, live);
}
#endif

static void filter(void)
{
	/* linux/filter.h and linux/seccomp.h, which musl's compiler does not find: BPF_RET | BPF_K, SECCOMP_RET_ALLOW. */
	struct {
		uint16_t code;
		uint8_t yes, no;
		uint32_t k;
	} allow = { 0x06, 0, 0, 0x7fff0000 };
	struct {
		unsigned short n;
		void *filter;
	} program = { 1, &allow };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &program))
		_exit(6);
}

static void drop(void)
{
	while (n_kept)
		free(kept[--n_kept]);
}

static void fork_child(void)
{
	pid_t child = fork();
	if (child == 0) {
		void *blocks[1000];
		for (int round = 0; round < 20; round++) {
			for (int i = 0; i < 1000; i++)
				blocks[i] = memset(malloc(5000), round, 5000);
			for (int i = 0; i < 1000; i++)
				free(blocks[i]);
		}
		drop(); /* the parent's sampled blocks, as the child sees them */
		_exit(0);
	}
	int status = -1;
	waitpid(child, &status, 0);
	say("child %d\n", status);
}

int main(void)
{
	char line[256];
	size_t n = 0;
	say("pid %d\nready\n", (int)getpid());
	while (n < sizeof(line) - 1 && read(0, line + n, 1) == 1) {
		if (line[n++] != '\n')
			continue;
		line[n - 1] = 0;
		n = 0;
		unsigned long count = 0, seed = 0;
		if (strcmp(line, "every") == 0) {
			every();
		} else if (sscanf(line, "mixed %lu %lu", &count, &seed) == 2) {
			mixed((uint32_t)count, (uint32_t)seed);
		} else if (strcmp(line, "drop") == 0) {
			drop();
		} else if (strcmp(line, "filter") == 0) {
			filter();
#ifdef HEAP_TRUTH_POOL
		} else if (strcmp(line, "load") == 0) {
			load();
		} else if (strcmp(line, "pool") == 0) {
			pool();
#endif
		} else if (strcmp(line, "fork") == 0) {
			fork_child();
		} else {
			return strcmp(line, "quit") != 0;
		}
		say("done\n");
	}
	return 0;
}
