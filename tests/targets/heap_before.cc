// SPDX-License-Identifier: Apache-2.0
/*
 * heap_before - holds blocks and says exactly which, for who comes later: heap_before SCENE...
 *
 *   plain       200,000 blocks of skewed sizes
 *   types       30,000 objects of classes with virtual functions, and 10,000 of one derived from two others
 *   threads     8 threads with arenas of their own and 20,000 blocks each; they go on living
 *   fragmented  400,000 blocks of which three quarters were freed, in no order
 *   cached      100,000 blocks freed to fastbins and threads' caches, 50,000 kept between them
 *   huge        40 blocks of 1 to 9 MiB, mapped one by one
 *   blocked     20,000 blocks where the heap cannot grow
 *   busy        two threads that go on allocating and freeing, at most 64 KiB between them
 *
 * Then commands from stdin, a line each, answered by "done": free N (every Nth of the plain blocks), again (as many of the
 * same sizes as were freed), ruin (write over headers of
 * blocks), quit. Lines "truth OBJECTS BYTES" are what it holds now by malloc_usable_size, with
 * "type NAME OBJECTS" for each class.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define KEPT (1u << 21)

static void *kept[KEPT];
static size_t n_kept, objects, bytes, n_typed[3];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

namespace shop
{
struct Customer {
	virtual ~Customer() = default;
	uint64_t number = 7;
};
struct Priced {
	virtual ~Priced() = default;
	uint64_t cents = 100;
};
template <typename Of> struct Order : Customer {
	Of what{};
	uint64_t room[11]{};
};
struct Basket : Customer, Priced {
	uint64_t items[30]{};
};
} // namespace shop

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

static uint64_t draw(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return *seed >> 33;
}

static void *keep(void *block)
{
	if (!block)
		_exit(4);
	pthread_mutex_lock(&lock);
	if (n_kept == KEPT)
		_exit(4);
	kept[n_kept++] = block;
	objects++;
	bytes += malloc_usable_size(block);
	pthread_mutex_unlock(&lock);
	return block;
}

static void drop(void **block)
{
	objects--;
	bytes -= malloc_usable_size(*block);
	free(*block);
	*block = nullptr;
}

/* Many small ones, a few large: 16 bytes to 32 KiB. */
static size_t skewed(uint64_t *seed)
{
	const unsigned shift = (unsigned)(draw(seed) % 100);
	return 16 + draw(seed) % (shift < 90 ? 240 : shift < 99 ? 4000 : 32000);
}

static void fill(size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++) {
		const size_t size = skewed(&seed);
		memset(keep(malloc(size)), (int)(i | 1), size);
	}
}

static void types()
{
	for (size_t i = 0; i < 20000; i++, n_typed[0]++)
		keep(new shop::Order<int>);
	for (size_t i = 0; i < 10000; i++, n_typed[1]++)
		keep(new shop::Order<uint64_t>);
	for (size_t i = 0; i < 10000; i++, n_typed[2]++)
		keep(new shop::Basket);
}

static unsigned n_filled, n_settled;

static void *thread(void *seed)
{
	void *few[40];
	fill(20000, (uint64_t)(uintptr_t)seed);
	__atomic_fetch_add(&n_filled, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&n_filled, __ATOMIC_ACQUIRE) < 8)
		usleep(1000);
	/* What a thread has in its cache. */
	for (size_t i = 0; i < 40; i++)
		few[i] = malloc(24 + i % 4 * 16);
	for (size_t i = 0; i < 40; i++)
		free(few[i]);
	__atomic_fetch_add(&n_settled, 1, __ATOMIC_RELEASE);
	for (;;)
		pause();
	return nullptr;
}

static void threads()
{
	pthread_t id;
	for (uintptr_t i = 1; i <= 8; i++) {
		if (pthread_create(&id, nullptr, thread, (void *)(i * 77)))
			_exit(5);
	}
	while (__atomic_load_n(&n_settled, __ATOMIC_ACQUIRE) < 8)
		usleep(1000);
}

static void fragmented()
{
	const size_t first = n_kept;
	fill(400000, 5);
	uint64_t seed = 9;
	for (size_t i = first; i < n_kept; i++) {
		if (draw(&seed) % 4)
			drop(&kept[i]);
	}
}

static void cached()
{
	static void *few[150000];
	for (size_t i = 0; i < 150000; i++)
		few[i] = malloc(24 + i % 5 * 16);
	for (size_t i = 0; i < 150000; i++) {
		if (i % 3 == 1)
			keep(few[i]);
		else
			free(few[i]);
	}
}

static void huge()
{
	for (size_t i = 0; i < 40; i++)
		memset(keep(malloc((1 + i % 9) << 20)), 1, 1 << 16);
	keep(aligned_alloc(1 << 16, 3 << 20));
}

static void blocked()
{
	char *end = (char *)sbrk(0);
	if (mmap(end, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) !=
	    end)
		_exit(7);
	fill(20000, 11);
}

static void *churn(void *seed_of)
{
	uint64_t seed = (uint64_t)(uintptr_t)seed_of;
	void *slots[64] = {};
	for (;;) {
		void **slot = &slots[draw(&seed) % 64];
		free(*slot);
		*slot = malloc(16 + draw(&seed) % 480);
		if (!*slot)
			_exit(6);
		memset(*slot, 0x5a, 16);
	}
	return nullptr;
}

static void busy()
{
	pthread_t id;
	for (uintptr_t i = 1; i <= 2; i++)
		pthread_create(&id, nullptr, churn, (void *)i);
}

/* Sizes that lead far away, backwards, nowhere; lists that lead to themselves. */
static void ruin()
{
	uint64_t seed = 3;
	for (size_t i = 0; i < n_kept; i += 50) {
		if (!kept[i])
			continue;
		uint64_t *words = (uint64_t *)kept[i];
		words[-1] = draw(&seed) << (draw(&seed) % 40);
		words[0] = (uint64_t)(uintptr_t)words;
		kept[i] = nullptr;
	}
}

static void tell()
{
	static const char *const names[] = { "shop::Order<int>", "shop::Order<unsigned long>",
					     "shop::Basket" };
	for (size_t i = 0; i < 3; i++) {
		if (n_typed[i])
			say("type %zu %s\n", n_typed[i], names[i]);
	}
	say("truth %zu %zu\n", objects, bytes);
}

static void give_back(size_t every, bool again)
{
	for (size_t i = 0; i < n_kept; i += every) {
		if (!kept[i])
			continue;
		const size_t size = malloc_usable_size(kept[i]);
		drop(&kept[i]);
		if (!again)
			continue;
		void *block = malloc(size);
		objects++;
		bytes += malloc_usable_size(block);
		kept[i] = block;
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)();
	} scenes[] = { { "types", types },   { "threads", threads }, { "fragmented", fragmented },
		       { "cached", cached }, { "huge", huge },       { "blocked", blocked },
		       { "busy", busy } };
	char line[64];
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "plain") == 0)
			fill(200000, 1);
		for (const auto &scene : scenes) {
			if (strcmp(argv[i], scene.name) == 0)
				scene.run();
		}
	}
	say("%d\n", (int)getpid());
	tell();
	say("ready\n");
	for (;;) {
		size_t n = 0;
		for (; n + 1 < sizeof(line) && read(0, line + n, 1) == 1 && line[n] != '\n'; n++)
			;
		if (!n || strncmp(line, "quit", 4) == 0)
			_exit(0);
		line[n] = 0;
		if (strncmp(line, "ruin", 4) == 0)
			ruin();
		else if (strncmp(line, "free ", 5) == 0)
			give_back((size_t)atoi(line + 5), false);
		else if (strncmp(line, "again ", 6) == 0)
			give_back((size_t)atoi(line + 6), true);
		tell();
		say("done\n");
	}
}
