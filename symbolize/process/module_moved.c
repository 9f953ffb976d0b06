/* SPDX-License-Identifier: Apache-2.0 */
/* Text on memory: programs copy theirs to huge pages, at the same addresses. */
#include <string.h>
#include <sys/mman.h>

#include "symbolize/process/module_impl.h"

#define PAGE       4096u
#define NEIGHBOURS 64 /* mappings that are looked through for one of a file */
#define PROBES     16 /* places that are compared */
#define PROBE      32 /* bytes of each */
#define DIFFERENT  2  /* of the places may: programs patch their own code */

/*
 * What the kernel and perf call memory without a file; and where file systems for memory are usual. A program that was loaded from there is no
 * copy, but has itself beside it.
 */
static const char *const memory_files[] = { "[anon", "//anon", "/dev/shm/", "/dev/hugepages",
					    "/mnt/huge" };

bool cprof_module_may_hold_moved(const struct cprof_map *map)
{
	if (!(map->prot & PROT_EXEC))
		return false;
	if ((!map->inode && !map->path[0]) || cprof_maps_is_memory(map->path))
		return true;
	for (size_t i = 0; i < sizeof(memory_files) / sizeof(memory_files[0]); i++)
		if (strncmp(map->path, memory_files[i], strlen(memory_files[i])) == 0)
			return true;
	return false;
}

static bool is_same_file(const struct cprof_map *a, const struct cprof_map *b)
{
	return a->inode == b->inode && a->dev == b->dev;
}

struct cprof_map *cprof_module_neighbour(const struct cprof_maps *maps, const struct cprof_map *map,
					 bool below)
{
	size_t at = 0, high = maps->n_sorted;
	while (at < high) {
		size_t middle = at + (high - at) / 2;
		if (maps->sorted[middle]->start < map->start)
			at = middle + 1;
		else
			high = middle;
	}
	for (size_t i = 1; i <= NEIGHBOURS; i++) {
		if (below ? at < i : at + i >= maps->n_sorted)
			return NULL;
		struct cprof_map *other = maps->sorted[below ? at - i : at + i];
		if (other->inode && !is_same_file(other, map) &&
		    !cprof_module_may_hold_moved(other))
			return other;
	}
	return NULL;
}

/* May `beside`, a mapping of the file, be a piece of `segment`? Then the segment's first byte would be at *ret_start. */
static bool is_piece(const struct cprof_map *beside, const struct cprof_segment *segment,
		     uint64_t *ret_start)
{
	uint64_t first = segment->offset & ~(uint64_t)(PAGE - 1);
	*ret_start = beside->start + (segment->offset - beside->offset);
	return beside->offset >= first && beside->offset < segment->offset + segment->file_size &&
	       (segment->file_addr - *ret_start) % PAGE == 0;
}

/* Does `map` hold what the file has at `offset`, where `size` bytes of both can be compared? */
static bool same_bytes(const struct cprof_maps *maps, const struct cprof_module *module,
		       uint64_t addr, uint64_t offset, uint64_t size)
{
	unsigned different = 0, compared = 0;
	for (uint64_t i = 0; i < PROBES && size >= PROBE; i++) {
		uint8_t now[PROBE];
		uint64_t at = (size - PROBE) / PROBES * i;
		const uint8_t *file = cprof_image_at(module->image, offset + at, PROBE);
		if (!file || !maps->memory.read(maps->memory.ctx, addr + at, now, PROBE))
			return false;
		compared++;
		different += memcmp(file, now, PROBE) != 0;
	}
	return compared && different <= DIFFERENT;
}

/* The same for the text segment that would begin at run-time address `start`. */
static bool holds_text(const struct cprof_maps *maps, const struct cprof_module *module,
		       const struct cprof_map *map, const struct cprof_segment *text,
		       uint64_t start, uint64_t *ret_offset)
{
	uint64_t end = start + text->file_size;
	if (map->start >= end || end < start)
		return false;
	/* Huge pages may begin before the text, but no copy before the file. */
	if (map->start < start && start - map->start > text->offset)
		return false;
	uint64_t from = map->start > start ? map->start : start;
	uint64_t to = map->end < end ? map->end : end;
	*ret_offset = text->offset + (map->start - start);
	return from < to &&
	       same_bytes(maps, module, from, text->offset + (from - start), to - from);
}

bool cprof_module_moved(const struct cprof_maps *maps, const struct cprof_map *beside,
			const struct cprof_module *module, const struct cprof_map *map,
			uint64_t *ret_offset)
{
	if (!module->image || !maps->memory.read)
		return false;
	for (size_t i = 0; i < module->n_segments; i++) {
		uint64_t start;
		if (!is_piece(beside, &module->segments[i], &start))
			continue;
		for (size_t k = 0; k < module->n_segments; k++) {
			const struct cprof_segment *text = &module->segments[k];
			uint64_t at = start + (text->file_addr - module->segments[i].file_addr);
			if ((text->flags & PF_X) &&
			    holds_text(maps, module, map, text, at, ret_offset))
				return true;
		}
	}
	return false;
}
