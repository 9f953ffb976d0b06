/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap_families - every way to allocate that this process's allocator knows, and what came of each.
 *
 * Answers "families" on stdin with a line "truth NAME objects bytes live_objects live_bytes" for each function that there
 * is (operator new and delete in all variants, and by dlsym those of jemalloc, mimalloc and tcmalloc), then "done"; ends
 * on "quit". Run it with the allocator in LD_PRELOAD. Sizes are multiples of 64, so that rounding up to an alignment
 * changes none.
 */
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <malloc.h>
#include <new>
#include <unistd.h>

#ifdef __clang__
#define NOINLINE __attribute__((noinline, optnone))
#else
#define NOINLINE __attribute__((noinline, noclone, noipa))
#endif

/* Sized deallocation, which clang has to be asked for. */
void operator delete(void *block, size_t n) noexcept;
void operator delete[](void *block, size_t n) noexcept;
void operator delete(void *block, size_t n, std::align_val_t align) noexcept;
void operator delete[](void *block, size_t n, std::align_val_t align) noexcept;

enum { BLOCKS = 60 };

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

/* What dlsym has for `name`, as the type of `like`. */
template <typename F> static F find(const char *name)
{
	static_assert(sizeof(F) == sizeof(void *), "a pointer");
	void *found = dlsym(RTLD_DEFAULT, name);
	F out;
	memcpy(&out, &found, sizeof(out));
	return out;
}

using take_1 = void *(*)(size_t);
using take_2 = void *(*)(size_t, size_t);
using take_x = void *(*)(size_t, int);
using move_1 = void *(*)(void *, size_t);
using move_2 = void *(*)(void *, size_t, size_t);
using move_x = void *(*)(void *, size_t, int);
using grow_x = size_t (*)(void *, size_t, size_t, int);
using give_1 = void (*)(void *);
using give_2 = void (*)(void *, size_t);
using give_3 = void (*)(void *, size_t, size_t);
using give_x = void (*)(void *, int);
using give_sx = void (*)(void *, size_t, int);
using in_heap_1 = void *(*)(void *, size_t);
using in_heap_2 = void *(*)(void *, size_t, size_t);
using move_in_heap = void *(*)(void *, void *, size_t);
using new_heap = void *(*)();

static const std::align_val_t wide{ 64 };

struct way {
	const char *name;
	void *(*take)(size_t n);
	void (*give)(void *block, size_t n);
	const char *needs; /* a symbol; NULL: nothing */
	size_t before;     /* bytes of a smaller block that was taken first and moved */
};

#define TAKE(name, expression)                                                                     \
	static NOINLINE void *name(size_t n)                                                       \
	{                                                                                          \
		void *block = (expression);                                                        \
		__asm__ volatile("# " #name : "+r"(block), "+r"(n));                               \
		return block;                                                                      \
	}
#define GIVE(name, statement)                                                                      \
	static NOINLINE void name(void *block, size_t n)                                           \
	{                                                                                          \
		__asm__ volatile("# " #name : "+r"(block), "+r"(n));                               \
		statement;                                                                         \
	}

/* ---- C++ ---- */

TAKE(way_new, operator new(n))
TAKE(way_new_array, operator new[](n))
TAKE(way_new_nothrow, operator new(n, std::nothrow))
TAKE(way_new_array_nothrow, operator new[](n, std::nothrow))
TAKE(way_new_aligned, operator new(n, wide))
TAKE(way_new_array_aligned, operator new[](n, wide))
TAKE(way_new_aligned_nothrow, operator new(n, wide, std::nothrow))
TAKE(way_new_array_aligned_nothrow, operator new[](n, wide, std::nothrow))
TAKE(way_new_sized, operator new(n))
TAKE(way_new_array_sized, operator new[](n))
TAKE(way_new_aligned_sized, operator new(n, wide))
TAKE(way_new_array_aligned_sized, operator new[](n, wide))
GIVE(give_new, (void)n; operator delete(block))
GIVE(give_new_array, (void)n; operator delete[](block))
GIVE(give_new_nothrow, (void)n; operator delete(block, std::nothrow))
GIVE(give_new_array_nothrow, (void)n; operator delete[](block, std::nothrow))
GIVE(give_new_aligned, (void)n; operator delete(block, wide))
GIVE(give_new_array_aligned, (void)n; operator delete[](block, wide))
GIVE(give_new_aligned_nothrow, (void)n; operator delete(block, wide, std::nothrow))
GIVE(give_new_array_aligned_nothrow, (void)n; operator delete[](block, wide, std::nothrow))
GIVE(give_new_sized, operator delete(block, n))
GIVE(give_new_array_sized, operator delete[](block, n))
GIVE(give_new_aligned_sized, operator delete(block, n, wide))
GIVE(give_new_array_aligned_sized, operator delete[](block, n, wide))

/* ---- C ---- */

static size_t half(size_t n)
{
	return n / 2;
}

TAKE(way_reallocarray_null, find<move_2>("reallocarray")(nullptr, n / 8, 8))
TAKE(way_reallocarray, find<move_2>("reallocarray")(malloc(half(n)), n / 8, 8))
TAKE(way_free_sized, malloc(n))
TAKE(way_free_aligned_sized, find<take_2>("aligned_alloc")(64, n))
TAKE(way_cfree, malloc(n))
TAKE(way_libc_malloc, find<take_1>("__libc_malloc")(n))
TAKE(way_libc_calloc, find<take_2>("__libc_calloc")(n / 8, 8))
TAKE(way_libc_realloc, find<move_1>("__libc_realloc")(nullptr, n))
TAKE(way_libc_memalign, find<take_2>("__libc_memalign")(64, n))
TAKE(way_pvalloc, find<take_1>("pvalloc")(n))
GIVE(give_free, (void)n; free(block))
GIVE(give_free_sized, find<give_2>("free_sized")(block, n))
GIVE(give_free_aligned_sized, find<give_3>("free_aligned_sized")(block, 64, n))
GIVE(give_cfree, (void)n; find<give_1>("cfree")(block))
GIVE(give_libc_free, (void)n; find<give_1>("__libc_free")(block))

/* ---- jemalloc ---- */

TAKE(way_mallocx, find<take_x>("mallocx")(n, 0))
TAKE(way_mallocx_sized, find<take_x>("mallocx")(n, 0))
TAKE(way_rallocx, find<move_x>("rallocx")(find<take_x>("mallocx")(half(n), 0), n, 0))
GIVE(give_dallocx, (void)n; find<give_x>("dallocx")(block, 0))
GIVE(give_sdallocx, find<give_sx>("sdallocx")(block, n, 0))

/* Blocks of a size class of their own: shrunk and grown again, where they are. */
static NOINLINE void *way_xallocx(size_t n)
{
	static const grow_x grow = find<grow_x>("xallocx");
	void *block = find<take_x>("mallocx")(1 << 20, 0);
	size_t got = grow(block, (1 << 20) + n, 0, 0);
	__asm__ volatile("# way_xallocx" : "+r"(block), "+r"(n));
	if (got < (1 << 20) + n && got != 1 << 20)
		_exit(6);
	return block;
}

/* ---- mimalloc ---- */

static void *mi_heap()
{
	static void *heap = find<new_heap>("mi_heap_new")();
	return heap;
}

TAKE(way_mi_malloc, find<take_1>("mi_malloc")(n))
TAKE(way_mi_zalloc, find<take_1>("mi_zalloc")(n))
TAKE(way_mi_calloc, find<take_2>("mi_calloc")(n / 8, 8))
TAKE(way_mi_mallocn, find<take_2>("mi_mallocn")(n / 8, 8))
TAKE(way_mi_malloc_aligned, find<take_2>("mi_malloc_aligned")(n, 64))
TAKE(way_mi_zalloc_aligned, find<take_2>("mi_zalloc_aligned")(n, 64))
TAKE(way_mi_realloc, find<move_1>("mi_realloc")(malloc(half(n)), n))
TAKE(way_mi_rezalloc, find<move_1>("mi_rezalloc")(malloc(half(n)), n))
TAKE(way_mi_reallocf, find<move_1>("mi_reallocf")(malloc(half(n)), n))
TAKE(way_mi_reallocn, find<move_2>("mi_reallocn")(malloc(half(n)), n / 8, 8))
TAKE(way_mi_recalloc, find<move_2>("mi_recalloc")(malloc(half(n)), n / 8, 8))
TAKE(way_mi_realloc_aligned, find<move_2>("mi_realloc_aligned")(malloc(half(n)), n, 64))
TAKE(way_mi_rezalloc_aligned, find<move_2>("mi_rezalloc_aligned")(malloc(half(n)), n, 64))
TAKE(way_mi_new, find<take_1>("mi_new")(n))
TAKE(way_mi_new_nothrow, find<take_1>("mi_new_nothrow")(n))
TAKE(way_mi_new_aligned, find<take_2>("mi_new_aligned")(n, 64))
TAKE(way_mi_new_aligned_nothrow, find<take_2>("mi_new_aligned_nothrow")(n, 64))
TAKE(way_mi_heap_malloc, find<in_heap_1>("mi_heap_malloc")(mi_heap(), n))
TAKE(way_mi_heap_zalloc, find<in_heap_1>("mi_heap_zalloc")(mi_heap(), n))
TAKE(way_mi_heap_calloc,
     find<void *(*)(void *, size_t, size_t)>("mi_heap_calloc")(mi_heap(), n / 8, 8))
TAKE(way_mi_heap_malloc_aligned, find<in_heap_2>("mi_heap_malloc_aligned")(mi_heap(), n, 64))
TAKE(way_mi_heap_realloc, find<move_in_heap>("mi_heap_realloc")(mi_heap(), malloc(half(n)), n))
GIVE(give_mi_free, (void)n; find<give_1>("mi_free")(block))
GIVE(give_mi_free_size, find<give_2>("mi_free_size")(block, n))
GIVE(give_mi_free_aligned, find<give_2>("mi_free_aligned")(block, ((void)n, 64)))
GIVE(give_mi_free_size_aligned, find<give_3>("mi_free_size_aligned")(block, n, 64))
GIVE(give_mi_cfree, (void)n; find<give_1>("mi_cfree")(block))

/* ---- tcmalloc ---- */

TAKE(way_tc_malloc, find<take_1>("tc_malloc")(n))
TAKE(way_tc_skip, find<take_1>("tc_malloc_skip_new_handler")(n))
TAKE(way_tc_new, find<take_1>("tc_new")(n))
GIVE(give_tc_free, (void)n; find<give_1>("tc_free")(block))
GIVE(give_tc_free_sized, find<give_2>("tc_free_sized")(block, n))

#define WAY(name, give, needs)                                                                     \
	{                                                                                          \
#name, name, give, needs, 0                                                        \
	}
#define MOVE(name, give, needs)                                                                    \
	{                                                                                          \
#name, name, give, needs, 1                                                        \
	}
static const struct way ways[] = {
	WAY(way_new, give_new, nullptr),
	WAY(way_new_array, give_new_array, nullptr),
	WAY(way_new_nothrow, give_new_nothrow, nullptr),
	WAY(way_new_array_nothrow, give_new_array_nothrow, nullptr),
	WAY(way_new_aligned, give_new_aligned, nullptr),
	WAY(way_new_array_aligned, give_new_array_aligned, nullptr),
	WAY(way_new_aligned_nothrow, give_new_aligned_nothrow, nullptr),
	WAY(way_new_array_aligned_nothrow, give_new_array_aligned_nothrow, nullptr),
	WAY(way_new_sized, give_new_sized, nullptr),
	WAY(way_new_array_sized, give_new_array_sized, nullptr),
	WAY(way_new_aligned_sized, give_new_aligned_sized, nullptr),
	WAY(way_new_array_aligned_sized, give_new_array_aligned_sized, nullptr),
	WAY(way_reallocarray_null, give_free, "reallocarray"),
	MOVE(way_reallocarray, give_free, "reallocarray"),
	WAY(way_free_sized, give_free_sized, "free_sized"),
	WAY(way_free_aligned_sized, give_free_aligned_sized, "free_aligned_sized"),
	WAY(way_cfree, give_cfree, "cfree"),
	WAY(way_libc_malloc, give_libc_free, "__libc_malloc"),
	WAY(way_libc_calloc, give_libc_free, "__libc_calloc"),
	WAY(way_libc_realloc, give_libc_free, "__libc_realloc"),
	WAY(way_libc_memalign, give_libc_free, "__libc_memalign"),
	WAY(way_pvalloc, give_libc_free, "pvalloc"),
	WAY(way_mallocx, give_dallocx, "mallocx"),
	WAY(way_mallocx_sized, give_sdallocx, "sdallocx"),
	MOVE(way_rallocx, give_dallocx, "rallocx"),
	WAY(way_mi_malloc, give_mi_free, "mi_malloc"),
	WAY(way_mi_zalloc, give_mi_free_size, "mi_malloc"),
	WAY(way_mi_calloc, give_mi_cfree, "mi_malloc"),
	WAY(way_mi_mallocn, give_mi_free, "mi_malloc"),
	WAY(way_mi_malloc_aligned, give_mi_free_aligned, "mi_malloc"),
	WAY(way_mi_zalloc_aligned, give_mi_free_size_aligned, "mi_malloc"),
	MOVE(way_mi_realloc, give_mi_free, "mi_malloc"),
	MOVE(way_mi_rezalloc, give_mi_free, "mi_malloc"),
	MOVE(way_mi_reallocf, give_mi_free, "mi_malloc"),
	MOVE(way_mi_reallocn, give_mi_free, "mi_malloc"),
	MOVE(way_mi_recalloc, give_mi_free, "mi_malloc"),
	MOVE(way_mi_realloc_aligned, give_mi_free, "mi_malloc"),
	MOVE(way_mi_rezalloc_aligned, give_mi_free, "mi_malloc"),
	WAY(way_mi_new, give_mi_free, "mi_malloc"),
	WAY(way_mi_new_nothrow, give_mi_free, "mi_malloc"),
	WAY(way_mi_new_aligned, give_mi_free, "mi_malloc"),
	WAY(way_mi_new_aligned_nothrow, give_mi_free, "mi_malloc"),
	WAY(way_mi_heap_malloc, give_mi_free, "mi_malloc"),
	WAY(way_mi_heap_zalloc, give_mi_free, "mi_malloc"),
	WAY(way_mi_heap_calloc, give_mi_free, "mi_malloc"),
	WAY(way_mi_heap_malloc_aligned, give_mi_free, "mi_malloc"),
	MOVE(way_mi_heap_realloc, give_mi_free, "mi_malloc"),
	WAY(way_tc_malloc, give_tc_free, "tc_malloc"),
	WAY(way_tc_skip, give_tc_free_sized, "tc_malloc"),
	WAY(way_tc_new, give_tc_free, "tc_malloc"),
};

static void run(const struct way *way)
{
	size_t bytes = 0, live = 0, objects = 0, n_live = 0;
	for (size_t i = 0; i < BLOCKS; i++) {
		size_t n = 64 * (1 + i);
		void *block = way->take(n);
		if (!block)
			_exit(4);
		*(volatile char *)block = 1;
		bytes += n + (way->before ? half(n) : 0);
		objects += 1 + way->before;
		if (i % 2) {
			way->give(block, n);
		} else {
			live += n;
			n_live++;
		}
	}
	say("truth %s %zu %zu %zu %zu\n", way->name, objects, bytes, n_live, live);
}

/* In place or not at all: what counts is what xallocx says. */
static void run_xallocx()
{
	size_t bytes = 0, objects = 0;
	void *blocks[20];
	for (size_t i = 0; i < 20; i++) {
		size_t n = 65536 * (1 + i % 4);
		blocks[i] = way_xallocx(n);
		bool grown = find<size_t (*)(const void *, int)>("sallocx")(blocks[i], 0) > 1 << 20;
		bytes += (1 << 20) + (grown ? (1 << 20) + n : 0);
		objects += 1 + grown;
	}
	for (void *block : blocks)
		find<give_x>("dallocx")(block, 0);
	say("truth way_xallocx %zu %zu 0 0\n", objects, bytes);
}

static void families()
{
	for (const struct way &way : ways) {
		if (!way.needs || dlsym(RTLD_DEFAULT, way.needs))
			run(&way);
	}
	if (dlsym(RTLD_DEFAULT, "xallocx"))
		run_xallocx();
}

int main()
{
	char line[64];
	size_t n = 0;
	say("pid %d\nready\n", (int)getpid());
	while (n < sizeof(line) - 1 && read(0, line + n, 1) == 1) {
		if (line[n++] != '\n')
			continue;
		line[n - 1] = 0;
		n = 0;
		if (strcmp(line, "families") != 0)
			return strcmp(line, "quit") != 0;
		families();
		say("done\n");
	}
	return 0;
}
