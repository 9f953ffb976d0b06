/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/heap_place.h"

#include <string.h>
#include <sys/mman.h>

#define PAGE       4096ull
#define MARK       61u
#define MARKED     17u
#define REACH      0x7ff00000ull /* a little less than 2 GiB */
#define LOWEST     0x100000ull   /* above vm.mmap_min_addr, whatever it is */
#define HIGHEST    0x7ffffffff000ull
#define STACK_ROOM 0x8000000ull   /* the least that the kernel keeps free for the main thread's */
#define STACK_MOST 0x400000000ull /* a stack without limit is not given more */
#define GUARD      (257 * PAGE) /* stack_guard_gap, which a mapping below a stack must not touch */

bool cprof_heap_place_marked(uint64_t addr)
{
	return addr / PAGE % MARK == MARKED;
}

struct gap {
	uint64_t start, end;
	bool grows; /* the heap of brk(2) grows into it, from its start */
};

/* ---- what is there ---- */

/* The end of the main program's mappings. */
static uint64_t program_end(const struct cprof_maps *maps)
{
	uint64_t end = 0;
	for (size_t i = 0; i < maps->n_sorted; i++) {
		const struct cprof_map *map = maps->sorted[i];
		if (maps->exe_inode && map->inode == maps->exe_inode && map->dev == maps->exe_dev)
			end = map->end;
	}
	return end;
}

static uint64_t heap_end(const struct cprof_maps *maps)
{
	uint64_t end = 0;
	for (size_t i = 0; i < maps->n_sorted; i++) {
		if (strcmp(maps->sorted[i]->path, "[heap]") == 0)
			end = maps->sorted[i]->end;
	}
	return end;
}

void cprof_heap_space_init(struct cprof_heap_space *space, const struct cprof_maps *maps,
			   uint64_t start_brk, uint64_t stack_bytes)
{
	const uint64_t heap = heap_end(maps), program = program_end(maps);
	*space = (struct cprof_heap_space){ .maps = maps };
	space->brk = heap ? heap : start_brk ? start_brk : program;
	space->stack_bytes = stack_bytes < STACK_MOST ? stack_bytes : STACK_MOST;
}

/*
 * What must stay free below a mapping: a stack grows downwards. Which mappings do that the list does not say, but for the main
 * thread's; only private memory of no file can.
 */
static uint64_t room_below(const struct cprof_heap_space *space, const struct cprof_map *map,
			   bool wide)
{
	const uint64_t size = map->end - map->start;
	if (strcmp(map->path, "[stack]") == 0) {
		const uint64_t most =
			space->stack_bytes > STACK_ROOM ? space->stack_bytes : STACK_ROOM;
		return (most > size ? most - size : 0) + GUARD;
	}
	if (map->inode || !(map->prot & PROT_WRITE))
		return PAGE;
	return (wide && space->stack_bytes > size ? space->stack_bytes - size : 0) + GUARD;
}

/* The gap behind mapping `i` (before the first for i == n), less the room that its neighbours need. */
static struct gap gap_after(const struct cprof_heap_space *space, size_t i, bool wide)
{
	const struct cprof_maps *maps = space->maps;
	struct gap gap = { LOWEST, HIGHEST, false };
	if (i < maps->n_sorted)
		gap.start = maps->sorted[i]->end + PAGE;
	const size_t next = i < maps->n_sorted ? i + 1 : 0;
	if (next < maps->n_sorted) {
		const struct cprof_map *above = maps->sorted[next];
		const uint64_t room = room_below(space, above, wide);
		gap.end = above->start > room ? above->start - room : 0;
	}
	gap.end = gap.end < HIGHEST ? gap.end : HIGHEST;
	return gap;
}

/* A gap that the heap grows into has two sides, below its beginning and above. The other one, if there is one, is *ret_other. */
static struct gap split_at_brk(const struct cprof_heap_space *space, struct gap gap,
			       struct gap *ret_other)
{
	*ret_other = (struct gap){ 0 };
	if (!space->brk || space->brk + PAGE < gap.start || space->brk >= gap.end)
		return gap;
	if (space->brk > gap.start + PAGE) {
		*ret_other = (struct gap){ gap.start, space->brk - PAGE, false };
		gap.start = space->brk + PAGE;
	}
	gap.grows = true;
	return gap;
}

/* Of the two parts beside what is taken the larger is enough. */
static void cut_taken(const struct cprof_heap_space *space, struct gap *gap)
{
	for (size_t i = 0; i < space->n_taken; i++) {
		const uint64_t start = space->taken[i].start - PAGE;
		const uint64_t end = space->taken[i].end + PAGE;
		if (gap->start >= end || gap->end <= start)
			continue;
		const uint64_t below = start > gap->start ? start - gap->start : 0;
		const uint64_t above = gap->end > end ? gap->end - end : 0;
		if (below > above)
			gap->end = start;
		else
			gap->start = end;
	}
}

/* ---- the choice ---- */

static uint64_t clip(uint64_t value, uint64_t low, uint64_t high)
{
	return value < low ? low : value > high ? high : value;
}

/* The marked page in [start, end - bytes] that is nearest to `want`. */
static bool nearest_marked(const struct gap *gap, uint64_t bytes, uint64_t want, uint64_t *ret_addr)
{
	if (gap->end <= gap->start || gap->end - gap->start < bytes + MARK * PAGE)
		return false;
	const uint64_t last = gap->end - bytes;
	const uint64_t page = clip(want, gap->start, last) / PAGE;
	const uint64_t down = page - (page + MARK - MARKED) % MARK;
	const uint64_t up = down + MARK;
	if (down * PAGE >= gap->start && down * PAGE <= last)
		*ret_addr = down * PAGE;
	else if (up * PAGE >= gap->start && up * PAGE <= last)
		*ret_addr = up * PAGE;
	else
		return false;
	return true;
}

/* What is looked for: in [first, last), near `want`, and what was found so far. */
struct search {
	uint64_t first, last, want, bytes;
	bool growing; /* the gaps that the heap grows into, or the others? */
	uint64_t distance, found;
};

static void try_near(const struct cprof_heap_space *space, struct gap gap, struct search *search)
{
	uint64_t addr;
	if (gap.grows != search->growing)
		return;
	gap.start = gap.start < search->first ? search->first : gap.start;
	gap.end = gap.end > search->last ? search->last : gap.end;
	if (gap.end <= gap.start)
		return;
	cut_taken(space, &gap);
	/* In the heap's way: as far up as can be. */
	const uint64_t want = gap.grows ? gap.end : search->want;
	if (!nearest_marked(&gap, search->bytes, want, &addr))
		return;
	const uint64_t distance = addr > search->want ? addr - search->want : search->want - addr;
	if (distance < search->distance) {
		search->distance = distance;
		search->found = addr;
	}
}

static bool take(struct cprof_heap_space *space, uint64_t addr, uint64_t bytes, uint64_t *ret_addr)
{
	if (space->n_taken == CPROF_HEAP_PLACES_MAX)
		return false;
	space->taken[space->n_taken++] = (struct cprof_heap_taken){ addr, addr + bytes };
	*ret_addr = addr;
	return true;
}

static bool search_near(const struct cprof_heap_space *space, struct search *search, bool wide)
{
	search->distance = UINT64_MAX;
	for (size_t i = 0; i <= space->maps->n_sorted; i++) {
		struct gap other;
		const struct gap gap = split_at_brk(space, gap_after(space, i, wide), &other);
		try_near(space, gap, search);
		try_near(space, other, search);
	}
	return search->distance != UINT64_MAX;
}

bool cprof_heap_place_code(struct cprof_heap_space *space, uint64_t low, uint64_t high,
			   uint64_t bytes, uint64_t *ret_addr)
{
	static const struct {
		bool growing, wide;
	} passes[] = { { false, true }, { false, false }, { true, true }, { true, false } };
	struct search search = {
		.first = high > REACH ? high - REACH : LOWEST,
		.last = low < HIGHEST - REACH ? low + REACH : HIGHEST,
		.want = low,
		.bytes = bytes,
	};
	for (size_t i = 0; i < sizeof(passes) / sizeof(passes[0]); i++) {
		search.growing = passes[i].growing;
		if (search_near(space, &search, passes[i].wide))
			return take(space, search.found, bytes, ret_addr);
	}
	return false;
}

bool cprof_heap_place_data(struct cprof_heap_space *space, uint64_t bytes, uint64_t *ret_addr)
{
	struct gap best = { 0 };
	for (size_t i = 0; i <= space->maps->n_sorted; i++) {
		struct gap sides[2];
		sides[0] = split_at_brk(space, gap_after(space, i, true), &sides[1]);
		for (size_t side = 0; side < 2; side++) {
			struct gap *gap = &sides[side];
			cut_taken(space, gap);
			if (gap->end > gap->start && gap->end - gap->start > best.end - best.start)
				best = *gap;
		}
	}
	uint64_t addr;
	const uint64_t middle = best.start + (best.end - best.start) / 2;
	return nearest_marked(&best, bytes, middle, &addr) && take(space, addr, bytes, ret_addr);
}
