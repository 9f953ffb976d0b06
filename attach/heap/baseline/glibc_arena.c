/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/glibc_arena.h"

#include <string.h>

#define EMPTY_LEAST 8u /* lists of an arena that point to themselves */
#define USER_SPACE  (1ull << 47)

static const uint64_t forms[] = { 0, CPROF_GLIBC_ARENA_SHORTER };

static uint64_t word_at(const uint8_t *bytes, uint64_t at)
{
	uint64_t word;
	memcpy(&word, bytes + at, sizeof(word));
	return word;
}

static bool is_aligned(uint64_t addr)
{
	return addr && addr < USER_SPACE && addr % CPROF_GLIBC_ALIGN == 0;
}

bool cprof_glibc_is_in_heap(uint64_t addr)
{
	const uint64_t in_heap = addr - cprof_glibc_heap_of(addr);
	return addr >= CPROF_GLIBC_HEAP_ALIGN && addr < USER_SPACE &&
	       (in_heap == CPROF_GLIBC_HEAP_INFO_OLD || in_heap == CPROF_GLIBC_HEAP_INFO_NEW);
}

/* To itself, to one in a heap, or from one in a heap to the main one. */
static bool is_next(uint64_t addr, uint64_t next)
{
	return next == addr || cprof_glibc_is_in_heap(next) ||
	       (cprof_glibc_is_in_heap(addr) && next >= CPROF_BASELINE_PAGE && next < USER_SPACE &&
		next % 8 == 0);
}

static bool has_form(uint64_t addr, const uint8_t *bytes, uint64_t shorter)
{
	unsigned empty = 0;
	const uint64_t top = word_at(bytes, CPROF_GLIBC_ARENA_TOP - shorter);
	if (!is_next(addr, word_at(bytes, CPROF_GLIBC_ARENA_NEXT - shorter)) || top % 8 ||
	    top >= USER_SPACE ||
	    word_at(bytes, CPROF_GLIBC_ARENA_SYSTEM - shorter) >
		    word_at(bytes, CPROF_GLIBC_ARENA_SYSTEM_MOST - shorter))
		return false;
	for (uint64_t i = 0; i < CPROF_GLIBC_N_BINS; i++) {
		const uint64_t at = CPROF_GLIBC_ARENA_BINS - shorter + i * 16;
		const uint64_t first = word_at(bytes, at), last = word_at(bytes, at + 8);
		const uint64_t itself = addr + at - CPROF_GLIBC_HEADER;
		if (first == itself && last == itself)
			empty++;
		else if (!is_aligned(first) || !is_aligned(last))
			return false;
	}
	return empty >= EMPTY_LEAST;
}

bool cprof_glibc_may_be_arena(uint64_t addr, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (n >= CPROF_GLIBC_ARENA_BYTES - forms[i] && has_form(addr, bytes, forms[i]))
			return true;
	}
	return false;
}

static void take_words(struct cprof_glibc_arena *arena, const uint8_t *bytes)
{
	const uint64_t shorter = arena->shorter;
	arena->top = word_at(bytes, CPROF_GLIBC_ARENA_TOP - shorter);
	arena->next = word_at(bytes, CPROF_GLIBC_ARENA_NEXT - shorter);
	arena->system_bytes = word_at(bytes, CPROF_GLIBC_ARENA_SYSTEM - shorter);
	uint32_t flags;
	memcpy(&flags, bytes + CPROF_GLIBC_ARENA_FLAGS, sizeof(flags));
	arena->in_pieces = flags & 2;
	if (!shorter)
		memcpy(arena->fastbins, bytes + CPROF_GLIBC_ARENA_FASTBINS,
		       sizeof(arena->fastbins));
}

static bool read_form(struct cprof_baseline_memory *memory, uint64_t addr, uint64_t shorter,
		      uint8_t bytes[CPROF_GLIBC_ARENA_BYTES])
{
	return cprof_baseline_memory_read(memory, addr, bytes, CPROF_GLIBC_ARENA_BYTES - shorter) &&
	       has_form(addr, bytes, shorter);
}

bool cprof_glibc_arena_find(struct cprof_baseline_memory *memory, uint64_t addr,
			    struct cprof_glibc_arena *ret_arena)
{
	uint8_t bytes[CPROF_GLIBC_ARENA_BYTES], other[CPROF_GLIBC_ARENA_BYTES];
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct cprof_glibc_arena arena = { .addr = addr,
						   .shorter = forms[i],
						   .main = !cprof_glibc_is_in_heap(addr) };
		if (!read_form(memory, addr, forms[i], bytes))
			continue;
		take_words(&arena, bytes);
		if (arena.next != addr && !read_form(memory, arena.next, forms[i], other))
			continue;
		*ret_arena = arena;
		return true;
	}
	return false;
}

bool cprof_glibc_arena_read(struct cprof_baseline_memory *memory, struct cprof_glibc_arena *arena)
{
	uint8_t bytes[CPROF_GLIBC_ARENA_BYTES];
	if (!cprof_baseline_memory_read(memory, arena->addr, bytes,
					CPROF_GLIBC_ARENA_BYTES - arena->shorter))
		return false;
	take_words(arena, bytes);
	return true;
}
