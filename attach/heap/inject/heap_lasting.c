/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/heap_lasting.h"

#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"

#define STACK_LEAST 2048u      /* a goroutine's */
#define STACK_MOST  (1u << 30) /* runtime/debug.SetMaxStack */

/* Members of Go's type g and type m, Go 1.16 to 1.26. */
#define G_M           48
#define M_G0          0
#define M_GSIGNAL     72 /* since Go 1.25, where type gobuf is a word shorter */
#define M_GSIGNAL_OLD 80

_Static_assert(CPROF_SWITCH_SITES_MAX <= CPROF_SHIM_SWITCHES, "the shim has room for all");

void cprof_heap_lasting_enter(const struct cprof_heap_lasting *lasting,
			      struct cprof_shim_image *image)
{
	image->n_switches = lasting->switches.n;
	for (size_t i = 0; i < lasting->switches.n; i++) {
		const struct cprof_switch_site *site = &lasting->switches.all[i];
		image->switches[i] = (struct cprof_shim_switch){ .ret = site->ret,
								 .owner = site->owner,
								 .depth = site->depth,
								 .high = site->high };
	}
}

/* ---- the ranges ---- */

static const struct cprof_map *memory_at(const struct cprof_maps *maps, uint64_t addr)
{
	const struct cprof_map *map = cprof_maps_find(maps, addr);
	if (!map || map->prot != (PROT_READ | PROT_WRITE) || map->inode ||
	    (map->path[0] && strncmp(map->path, "[anon:", 6) != 0))
		return NULL;
	return map;
}

/* The range that is `map` now, was a part of it before, or is free; NULL: there is none, or it is all known already. */
static struct cprof_shim_range *range_for(struct cprof_heap_lasting *lasting,
					  const struct cprof_map *map)
{
	for (size_t i = 0; i < CPROF_SHIM_LASTING; i++) {
		struct cprof_shim_range *range = &lasting->ranges[i];
		if (!range->end)
			return range;
		if (range->start <= map->start && map->end <= range->end)
			return NULL;
		if (map->start <= range->start && range->end <= map->end)
			return range;
	}
	return NULL;
}

/* NULL: nothing is new. */
static const struct cprof_shim_range *add(struct cprof_heap_lasting *lasting,
					  const struct cprof_maps *maps, uint64_t addr)
{
	const struct cprof_map *map = memory_at(maps, addr);
	struct cprof_shim_range *range = map ? range_for(lasting, map) : NULL;
	if (range)
		*range = (struct cprof_shim_range){ map->start, map->end };
	return range;
}

/* ---- goroutines ---- */

static bool read_word(const struct cprof_maps *maps, uint64_t addr, uint64_t *ret_value)
{
	return maps->memory.read(maps->memory.ctx, addr, ret_value, sizeof(*ret_value));
}

/*
 * Does it stand for a thread's own stack (g0), or for the one of its signal handlers (gsignal)? Where C has made the thread both are
 * C's memory, which is unmapped when the thread ends. They always have a thread, unlike goroutines.
 */
static bool is_threads_own(const struct cprof_maps *maps, uint64_t goroutine)
{
	static const uint8_t own[] = { M_G0, M_GSIGNAL, M_GSIGNAL_OLD };
	uint64_t m, value;
	if (!read_word(maps, goroutine + G_M, &m))
		return true;
	for (size_t i = 0; m && i < sizeof(own); i++) {
		if (!read_word(maps, m + own[i], &value) || value == goroutine)
			return true;
	}
	return false;
}

/* Bounds of the stack of the goroutine at `addr`; false: it is none, or one that stands for another stack. */
static bool goroutine_stack(const struct cprof_maps *maps, const struct cprof_switch_site *site,
			    uint64_t addr, struct cprof_shim_range *ret_stack)
{
	uint64_t words[2];
	if (addr & 7 || site->high < 8 || !memory_at(maps, addr) || is_threads_own(maps, addr) ||
	    !maps->memory.read(maps->memory.ctx, addr + site->high - 8, words, sizeof(words)))
		return false;
	const uint64_t size = words[1] - words[0];
	*ret_stack = (struct cprof_shim_range){ words[0], words[1] };
	return size >= STACK_LEAST && size <= STACK_MOST && !(size & (size - 1)) &&
	       memory_at(maps, words[0]) &&
	       memory_at(maps, words[0]) == memory_at(maps, words[1] - 1);
}

/* What a thread runs: a goroutine, or what stands for its own stack and lies where goroutines do. */
static void add_running(struct cprof_heap_lasting *lasting, const struct cprof_maps *maps,
			const struct cprof_switch_site *site, uint64_t thread_pointer)
{
	uint64_t offset = site->own, goroutine, bounds[2];
	struct cprof_shim_range stack;
	if ((site->own_in_memory && !read_word(maps, site->own, &offset)) ||
	    !read_word(maps, thread_pointer + offset, &goroutine) || !memory_at(maps, goroutine) ||
	    !maps->memory.read(maps->memory.ctx, goroutine, bounds, sizeof(bounds)) ||
	    bounds[0] >= bounds[1])
		return;
	(void)add(lasting, maps, goroutine);
	if (goroutine_stack(maps, site, goroutine, &stack))
		(void)add(lasting, maps, stack.start);
}

void cprof_heap_lasting_begin(struct cprof_heap_lasting *lasting, const struct cprof_maps *maps,
			      const struct cprof_ptrace *trace)
{
	memset(lasting->ranges, 0, sizeof(lasting->ranges));
	for (size_t i = 0; i < trace->n; i++) {
		const struct cprof_tracee *thread = &trace->threads[i];
		for (size_t s = 0; thread->state == CPROF_TRACEE_STOPPED && s < lasting->switches.n;
		     s++)
			add_running(lasting, maps, &lasting->switches.all[s], thread->regs.fs_base);
	}
}

/* ---- from samples ---- */

/* The switch whose return address is at `at` of the copied stack; NULL: none. */
static const struct cprof_switch_site *site_at(const struct cprof_heap_lasting *lasting,
					       const uint8_t *at)
{
	uint64_t word;
	memcpy(&word, at, sizeof(word));
	for (size_t i = 0; i < lasting->switches.n; i++) {
		if (lasting->switches.all[i].ret == word)
			return &lasting->switches.all[i];
	}
	return NULL;
}

/* The map of memory may be old; it is read again once in a while. */
static bool may_look(struct cprof_heap_lasting *lasting)
{
	const uint64_t now = cprof_clock_mono_ns();
	if (lasting->looked_mono_ns && now - lasting->looked_mono_ns < CPROF_NS_PER_S)
		return false;
	lasting->looked_mono_ns = now;
	return true;
}

static bool learn_from(struct cprof_heap_lasting *lasting, struct cprof_maps *maps,
		       uint64_t goroutine, const struct cprof_switch_site *site)
{
	struct cprof_shim_range stack;
	struct cprof_error *err = cprof_maps_refresh(maps);
	if (err) {
		cprof_error_free(err);
		return false;
	}
	if (!goroutine_stack(maps, site, goroutine, &stack))
		return false;
	const bool new_owner = add(lasting, maps, goroutine) != NULL;
	return add(lasting, maps, stack.start) || new_owner;
}

bool cprof_heap_lasting_learn(struct cprof_heap_lasting *lasting, struct cprof_maps *maps,
			      const struct cprof_shim_cell *cell, const uint8_t *stack)
{
	if (!lasting->switches.n || cell->other_bytes)
		return false;
	for (size_t at = 0; at + 2 * CPROF_SWITCH_CODE_MAX <= cell->stack_bytes; at += 8) {
		const struct cprof_switch_site *site = site_at(lasting, stack + at);
		uint64_t goroutine;
		if (!site)
			continue;
		memcpy(&goroutine, stack + at + site->owner, sizeof(goroutine));
		return may_look(lasting) && learn_from(lasting, maps, goroutine, site);
	}
	return false;
}
