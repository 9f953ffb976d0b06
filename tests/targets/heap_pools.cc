/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap_pools - allocators of a program's own, of the kinds that -heap-hook is for, and the truth about them.
 *
 * Reads "pools", "odd" and "quit" from stdin like heap_truth.c and answers in the same way. Each user of a pool is a
 * function of its own. The pools are fed by helpers that call malloc, directly and by a jump, or by mmap.
 */
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __clang__
#define NOINLINE __attribute__((noinline, optnone, used))
#else
#define NOINLINE __attribute__((noinline, noclone, noipa))
#endif

enum { BLOCKS = 100, CHUNK = 65536 };

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

extern "C" {

/* ---- pool, size: cut from chunks that come from malloc, through a helper far from the taker ---- */

struct pool {
	char *at, *end;
};

static NOINLINE void pool_refill(struct pool *pool, size_t n)
{
	size_t bytes = n > CHUNK ? n : (size_t)CHUNK;
	pool->at = (char *)malloc(bytes);
	pool->end = pool->at + bytes;
}

static NOINLINE void *pool_take(struct pool *pool, size_t n)
{
	size_t room = (n + 15) & ~(size_t)15;
	if ((size_t)(pool->end - pool->at) < room)
		pool_refill(pool, room);
	void *block = pool->at;
	pool->at += room;
	return block;
}

static NOINLINE void pool_give(struct pool *pool, void *block)
{
	(void)pool;
	*(volatile char *)block = 0;
}

static NOINLINE void *pool_move(struct pool *pool, void *block, size_t n)
{
	void *moved = pool_take(pool, n);
	if (block)
		memcpy(moved, block, 8);
	return moved;
}

/* ---- no size at all: objects of 48 bytes ---- */

static char *slab;

static NOINLINE void *slab_get(void)
{
	char *block = slab;
	slab += 48;
	__asm__ volatile("" : : "r"(block) : "memory");
	return block;
}

static NOINLINE void slab_put(void *block)
{
	*(volatile char *)block = 0;
}

/* ---- two ints, whose registers have anything in their upper halves ---- */

static NOINLINE void *grid_take(struct pool *pool, unsigned rows, unsigned columns)
{
	return pool_take(pool, (size_t)rows * columns);
}

/* ---- pieces of 24 bytes, and blocks that go with their region ---- */

static NOINLINE void *items_take(unsigned long n, struct pool *pool)
{
	return pool_take(pool, n * 24);
}

static NOINLINE void *region_take(struct pool *pool, size_t n)
{
	return pool_take(pool, n);
}

/* ---- one that hands on to malloc, by a jump ---- */

NOINLINE void *hand_on(size_t n)
{
	return malloc(n);
}

/* One whose first instruction is not the same when it is executed twice. */
__asm__(".text\n"
	".type odd_take, @function\n"
	"odd_take: add $15, %rdi\n"
	"and $-16, %rdi\n"
	"jmp malloc@PLT\n"
	".size odd_take, . - odd_take\n");
void *odd_take(size_t n);

/* Between the pools in the text, but none of them. */
static NOINLINE void *plain(size_t n)
{
	void *block = malloc(n);
	__asm__ volatile("" : "+r"(block));
	return block;
}
}

namespace house
{
struct arena {
	struct pool pool;
	NOINLINE void *take(size_t n);
	NOINLINE void give(void *block);
};

void *arena::take(size_t n)
{
	char *block = (char *)malloc(n + 16) + 16;
	__asm__ volatile("" : "+r"(block));
	return block;
}

void arena::give(void *block)
{
	free((char *)block - 16);
}
} /* namespace house */

/* ---- who uses them ---- */

static struct pool pool;
static house::arena arena;
static void *volatile moving;
static const uint64_t garbage = 0xdeadbeef00000000;
static void *(*volatile any_grid)(struct pool *, uint64_t,
				  uint64_t) = (void *(*)(struct pool *, uint64_t,
							 uint64_t))(void *)grid_take;

#define USER(name, expression)                                                                     \
	static NOINLINE void *name(size_t n)                                                       \
	{                                                                                          \
		void *block = (expression);                                                        \
		__asm__ volatile("# " #name : "+r"(block), "+r"(n));                               \
		return block;                                                                      \
	}

USER(use_pool, pool_take(&pool, n))
USER(use_slab, slab_get())
USER(use_grid, any_grid(&pool, n / 8 | garbage, 8 | garbage))
USER(use_items, items_take(n / 24, &pool))
USER(use_region, region_take(&pool, n))
USER(use_hand_on, hand_on(n))
USER(use_plain, plain(n))
USER(use_odd, odd_take(n))
USER(use_arena, arena.take(n))
USER(use_move, pool_move(&pool, moving, n))

static void give_pool(void *block)
{
	pool_give(&pool, block);
}

static void give_arena(void *block)
{
	arena.give(block);
}

static void run(const char *name, void *(*use)(size_t), void (*give)(void *), size_t size)
{
	size_t bytes = 0, live = 0, n_live = 0;
	for (size_t i = 0; i < BLOCKS; i++) {
		size_t n = size ? size : 24 * (1 + i);
		void *block = use(n);
		*(volatile char *)block = 1;
		bytes += n;
		if (i % 2 && give) {
			give(block);
		} else if (give) {
			live += n;
			n_live++;
		}
	}
	say("truth %s %d %zu %zu %zu\n", name, (int)BLOCKS, bytes, n_live, live);
}

/* A block that moves: one is left of it at the end. */
static void run_move(void)
{
	size_t bytes = 0;
	moving = nullptr;
	for (size_t i = 0; i < BLOCKS; i++) {
		bytes += 100 + i;
		moving = use_move(100 + i);
	}
	say("truth use_move %d %zu 1 %d\n", (int)BLOCKS, bytes, 100 + BLOCKS - 1);
}

static void pools(void)
{
	slab = (char *)mmap(nullptr, BLOCKS * 48, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	run("use_pool", use_pool, give_pool, 0);
	run("use_slab", use_slab, slab_put, 48);
	run("use_grid", use_grid, give_pool, 0);
	run("use_items", use_items, give_pool, 0);
	run("use_region", use_region, nullptr, 0);
	run("use_hand_on", use_hand_on, free, 0);
	run("use_plain", use_plain, free, 0);
	run("use_arena", use_arena, give_arena, 0);
	run_move();
}

int main()
{
	char line[64];
	size_t n = 0;
	say("pid %d\nregion_take %p\nready\n", (int)getpid(), (void *)region_take);
	while (n < sizeof(line) - 1 && read(0, line + n, 1) == 1) {
		if (line[n++] != '\n')
			continue;
		line[n - 1] = 0;
		n = 0;
		if (strcmp(line, "pools") == 0)
			pools();
		else if (strcmp(line, "odd") == 0)
			run("use_odd", use_odd, free, 0);
		else
			return strcmp(line, "quit") != 0;
		say("done\n");
	}
	return 0;
}
