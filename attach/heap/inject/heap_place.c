#include "attach/heap/inject/heap_place.h"

#include <string.h>

#define PAGE       4096ull
#define MARK       61u
#define MARKED     17u
#define REACH      0x7ff00000ull /* a little less than 2 GiB */
#define LOWEST     0x100000ull   /* above vm.mmap_min_addr, whatever it is */
#define HIGHEST    0x7ffffffff000ull
#define BRK_ROOM   0x10000000ull /* what a heap that grows upwards may want */
#define STACK_ROOM 0x8000000ull  /* and a stack downwards */

bool cprof_heap_place_marked(uint64_t addr)
{
	return addr / PAGE % MARK == MARKED;
}

struct gap {
	uint64_t start, end;
};

/* The end of the main program's mappings; its heap will begin somewhere in the 32 MiB behind. */
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

/* The gap behind mapping `i` (before the first for i == n), less the room that its neighbours grow into. */
static struct gap gap_after(const struct cprof_maps *maps, size_t i)
{
	struct gap gap = { LOWEST, HIGHEST };
	if (i < maps->n_sorted) {
		const struct cprof_map *below = maps->sorted[i];
		gap.start = below->end + PAGE;
		uint64_t program = program_end(maps);
		if (strcmp(below->path, "[heap]") == 0 ||
		    (program && below->end >= program && below->end - program < BRK_ROOM))
			gap.start += BRK_ROOM;
	}
	size_t next = i < maps->n_sorted ? i + 1 : 0;
	if (next < maps->n_sorted) {
		const struct cprof_map *above = maps->sorted[next];
		uint64_t room = strcmp(above->path, "[stack]") == 0 ? STACK_ROOM : PAGE;
		gap.end = above->start > room ? above->start - room : 0;
	}
	return gap;
}

static uint64_t clip(uint64_t value, uint64_t low, uint64_t high)
{
	return value < low ? low : value > high ? high : value;
}

/* The marked page in [start, end - bytes] that is nearest to `want`. */
static bool nearest_marked(struct gap gap, uint64_t bytes, uint64_t want, uint64_t *ret_addr)
{
	if (gap.end <= gap.start || gap.end - gap.start < bytes + MARK * PAGE)
		return false;
	uint64_t last = gap.end - bytes;
	uint64_t page = clip(want, gap.start, last) / PAGE;
	uint64_t down = page - (page + MARK - MARKED) % MARK;
	uint64_t up = down + MARK;
	if (down * PAGE >= gap.start && down * PAGE <= last)
		*ret_addr = down * PAGE;
	else if (up * PAGE >= gap.start && up * PAGE <= last)
		*ret_addr = up * PAGE;
	else
		return false;
	return true;
}

bool cprof_heap_place_near(const struct cprof_maps *maps, uint64_t low, uint64_t high,
			   uint64_t bytes, uint64_t avoid_start, uint64_t avoid_end,
			   uint64_t *ret_addr)
{
	uint64_t first = high > REACH ? high - REACH : LOWEST;
	uint64_t last = low < HIGHEST - REACH ? low + REACH : HIGHEST;
	uint64_t best = UINT64_MAX;

	for (size_t i = 0; i <= maps->n_sorted; i++) {
		struct gap gap = gap_after(maps, i);
		gap.start = gap.start < first ? first : gap.start;
		gap.end = gap.end > last ? last : gap.end;
		if (avoid_start < avoid_end && gap.start < avoid_end && gap.end > avoid_start) {
			/* Of the two parts the larger is enough. */
			if (avoid_start > gap.start &&
			    avoid_start - gap.start > gap.end - clip(avoid_end, 0, gap.end))
				gap.end = avoid_start - PAGE;
			else
				gap.start = avoid_end + PAGE;
		}
		uint64_t addr;
		if (!nearest_marked(gap, bytes, low, &addr))
			continue;
		uint64_t distance = addr > low ? addr - low : low - addr;
		if (distance < best) {
			best = distance;
			*ret_addr = addr;
		}
	}
	return best != UINT64_MAX;
}
