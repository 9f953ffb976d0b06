/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/glibc_place.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "attach/heap/baseline/baseline_symbols.h"
#include "base/array.h"
#include "base/cleanup.h"

#define DATA_MAX ((uint64_t)16 << 20) /* of writable data that is searched for an arena */

/* ---- all arenas ---- */

static bool has_arena(const struct cprof_glibc_place *place, uint64_t addr, uint32_t *ret_number)
{
	for (uint32_t i = 0; i < place->n_arenas; i++) {
		if (place->arenas[i].addr == addr) {
			*ret_number = i;
			return true;
		}
	}
	return false;
}

/* From one arena round the ring; the newest one comes after the main one. */
static struct cprof_error *add_ring(struct cprof_baseline_memory *memory,
				    struct cprof_glibc_place *place, uint64_t addr)
{
	struct cprof_glibc_arena arena;
	uint32_t known;
	while (!has_arena(place, addr, &known)) {
		if (!cprof_glibc_arena_find(memory, addr, &arena))
			return NULL;
		place->more_arenas = place->n_arenas >= CPROF_GLIBC_ARENAS_MAX;
		if (place->more_arenas)
			return NULL;
		if (!CPROF_ARRAY_ROOM(place->arenas, place->n_arenas, place->cap_arenas, 1))
			return cprof_error_no_memory();
		place->arenas[place->n_arenas++] = arena;
		addr = arena.next;
	}
	return NULL;
}

uint32_t cprof_glibc_place_main(const struct cprof_glibc_place *place)
{
	uint32_t main = 0;
	while (main < place->n_arenas && !place->arenas[main].main)
		main++;
	return main;
}

/* New arenas are put behind the main one, so counting backwards their numbers stay what they are. */
static void number_arenas(struct cprof_glibc_place *place)
{
	const uint32_t main = cprof_glibc_place_main(place);
	for (uint32_t i = 0; i < place->n_arenas; i++) {
		const uint32_t after_main =
			(i + place->n_arenas - main % place->n_arenas) % place->n_arenas;
		place->arenas[i].number = after_main ? place->n_arenas - after_main : 0;
	}
}

/* ---- where to look for the main one ---- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static bool may_have_main(const struct cprof_maps *maps, const struct cprof_map *map)
{
	const char *name = base_name(map->path);
	return (map->prot & PROT_WRITE) && map->inode && map->end - map->start <= DATA_MAX &&
	       ((map->inode == maps->exe_inode && map->dev == maps->exe_dev) ||
		strncmp(name, "libc.so", 7) == 0 || strncmp(name, "libc-2.", 7) == 0);
}

/* The bytes of the mapping, zeros for what is not in memory: an arena in use is. */
static uint8_t *copy_data(const struct cprof_baseline_target *target, const struct cprof_map *map)
{
	const size_t n = (size_t)(map->end - map->start);
	uint8_t *bytes = calloc(1, n);
	for (size_t at = 0; bytes && at < n; at += CPROF_BASELINE_PAGE)
		cprof_baseline_memory_read(target->memory, map->start + at, bytes + at,
					   CPROF_BASELINE_PAGE);
	return bytes;
}

static struct cprof_error *search_data(const struct cprof_baseline_target *target,
				       const struct cprof_map *map, struct cprof_glibc_place *place)
{
	const size_t n = (size_t)(map->end - map->start);
	CPROF_AUTO(free) uint8_t *bytes = copy_data(target, map);
	if (!bytes)
		return cprof_error_no_memory();
	for (size_t at = 0; at < n; at += 8) {
		if (!cprof_glibc_may_be_arena(map->start + at, bytes + at, n - at))
			continue;
		struct cprof_error *err = add_ring(target->memory, place, map->start + at);
		if (err)
			return err;
	}
	return NULL;
}

static struct cprof_error *search_symbol(const struct cprof_baseline_target *target,
					 struct cprof_glibc_place *place)
{
	static const char *const names[] = { "main_arena" };
	struct cprof_baseline_symbol found;
	struct cprof_error *err =
		cprof_baseline_find_symbol(target->maps, target->modules, names, 1, &found);
	return err || !found.addr ? err : add_ring(target->memory, place, found.addr);
}

/* ---- heaps ---- */

/* What may hold heaps and chunks: private, writable, of no file. */
static bool is_anonymous(const struct cprof_map *map)
{
	return !map->inode && (map->prot & (PROT_READ | PROT_WRITE)) == (PROT_READ | PROT_WRITE) &&
	       !(map->prot & PROT_EXEC) && (!map->path[0] || strncmp(map->path, "[anon", 5) == 0);
}

static bool is_brk(const struct cprof_map *map)
{
	return strcmp(map->path, "[heap]") == 0;
}

struct cprof_error *cprof_glibc_place_add(struct cprof_glibc_place *place,
					  const struct cprof_glibc_area *area)
{
	if (!CPROF_ARRAY_ROOM(place->areas, place->n_areas, place->cap_areas, 1))
		return cprof_error_no_memory();
	place->areas[place->n_areas++] = *area;
	return NULL;
}

/* The heap at `addr`, if there is one, in memory that ends at `end`. */
static struct cprof_error *look_at_heap(const struct cprof_baseline_target *target,
					struct cprof_glibc_place *place, uint64_t addr,
					uint64_t end)
{
	struct cprof_glibc_heap_info info;
	uint32_t number;
	if (!cprof_baseline_memory_read(target->memory, addr, &info, sizeof(info)))
		return NULL;
	if (!has_arena(place, info.arena, &number)) {
		if (cprof_glibc_heap_of(info.arena) != addr || !cprof_glibc_is_in_heap(info.arena))
			return NULL;
		struct cprof_error *err = add_ring(target->memory, place, info.arena);
		if (err || !has_arena(place, info.arena, &number))
			return err;
	}
	if (place->arenas[number].main || info.size > CPROF_GLIBC_HEAP_ALIGN ||
	    info.size > end - addr || info.size < CPROF_BASELINE_PAGE)
		return NULL;
	const uint64_t header = info.arena - cprof_glibc_heap_of(info.arena);
	const uint64_t bytes = CPROF_GLIBC_ARENA_BYTES - place->arenas[number].shorter;
	const uint64_t head = cprof_glibc_heap_of(info.arena) == addr
				      ? cprof_glibc_aligned(header + bytes)
				      : header;
	return cprof_glibc_place_add(place, &(struct cprof_glibc_area){ .start = addr + head,
									.end = addr + info.size,
									.head = head,
									.arena = number,
									.start_known = true });
}

/* A heap grows into what is reserved behind it, also since the mappings were read. */
static uint64_t end_with_reserve(const struct cprof_maps *maps, size_t i)
{
	const struct cprof_map *map = maps->sorted[i];
	const struct cprof_map *behind = i + 1 < maps->n_sorted ? maps->sorted[i + 1] : NULL;
	return behind && behind->start == map->end && !behind->prot && !behind->inode ? behind->end
										      : map->end;
}

static struct cprof_error *find_heaps(const struct cprof_baseline_target *target,
				      struct cprof_glibc_place *place)
{
	for (size_t i = 0; i < target->maps->n_sorted; i++) {
		const struct cprof_map *map = target->maps->sorted[i];
		if (!is_anonymous(map))
			continue;
		uint64_t addr = cprof_glibc_heap_of(map->start + CPROF_GLIBC_HEAP_ALIGN - 1);
		for (; addr >= map->start && addr < map->end; addr += CPROF_GLIBC_HEAP_ALIGN) {
			struct cprof_error *err = look_at_heap(target, place, addr,
							       end_with_reserve(target->maps, i));
			if (err)
				return err;
		}
	}
	return NULL;
}

/* ---- the main arena's memory ---- */

static bool holds(const struct cprof_map *map, uint64_t addr)
{
	return addr >= map->start && addr < map->end;
}

static struct cprof_error *find_brk(const struct cprof_baseline_target *target,
				    struct cprof_glibc_place *place)
{
	const uint32_t main = cprof_glibc_place_main(place);
	if (main == place->n_arenas || !place->arenas[main].system_bytes)
		return NULL;
	for (size_t i = 0; i < target->maps->n_sorted; i++) {
		const struct cprof_map *map = target->maps->sorted[i];
		/* Pieces are found by their beginnings (glibc_mapped.h). */
		if (!is_brk(map) && (place->arenas[main].in_pieces || !is_anonymous(map) ||
				     !holds(map, place->arenas[main].top)))
			continue;
		struct cprof_error *err = cprof_glibc_place_add(
			place, &(struct cprof_glibc_area){
				       .start = map->start, .end = map->end, .arena = main });
		if (err)
			return err;
	}
	return NULL;
}

static int by_start(const void *a, const void *b)
{
	const struct cprof_glibc_area *left = a, *right = b;
	return left->start < right->start ? -1 : left->start > right->start;
}

void cprof_glibc_place_sort(struct cprof_glibc_place *place)
{
	if (place->n_areas)
		qsort(place->areas, place->n_areas, sizeof(*place->areas), by_start);
}

const struct cprof_glibc_area *cprof_glibc_place_area(const struct cprof_glibc_place *place,
						      uint64_t addr)
{
	uint32_t low = 0, high = place->n_areas;
	while (low < high) {
		const uint32_t mid = low + (high - low) / 2;
		if (addr < place->areas[mid].start)
			high = mid;
		else if (addr >= place->areas[mid].end)
			low = mid + 1;
		else
			return &place->areas[mid];
	}
	return NULL;
}

static struct cprof_error *find_arenas(const struct cprof_baseline_target *target,
				       struct cprof_glibc_place *place)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < target->maps->n_sorted; i++) {
		if (may_have_main(target->maps, target->maps->sorted[i]))
			err = search_data(target, target->maps->sorted[i], place);
	}
	return err;
}

static struct cprof_error *find_all(const struct cprof_baseline_target *target,
				    struct cprof_glibc_place *place)
{
	struct cprof_error *err = find_arenas(target, place);
	if (!err)
		err = find_heaps(target, place);
	if (!err && !place->n_arenas)
		err = search_symbol(target, place);
	if (err || !place->n_arenas)
		return err;
	number_arenas(place);
	err = find_brk(target, place);
	cprof_glibc_place_sort(place);
	return err;
}

struct cprof_error *cprof_glibc_place_find(const struct cprof_baseline_target *target,
					   struct cprof_glibc_place *ret_place)
{
	*ret_place = (struct cprof_glibc_place){ 0 };
	struct cprof_error *err = find_all(target, ret_place);
	if (err)
		cprof_glibc_place_deinit(ret_place);
	return err;
}

void cprof_glibc_place_deinit(struct cprof_glibc_place *place)
{
	free(place->arenas);
	free(place->areas);
	*place = (struct cprof_glibc_place){ 0 };
}
