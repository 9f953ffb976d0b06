/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/baseline_types.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "attach/heap/baseline/baseline_symbols.h"
#include "base/array.h"

#define TABLE_HEAD 16u /* offset to top, and the type's information; objects point behind them */
#define TYPES_MAX  ((size_t)1 << 20)
#define APART      ((uint64_t)16 << 20) /* bytes between two ranges */
#define WHAT_IT_IS "vtable for "

/*
 * A process's heap mostly lies between its program and its libraries, and is full of words that lead into itself; so these are
 * ranges of their own. Mappings come by address.
 */
static void add_near(struct cprof_baseline_types *types, const struct cprof_map *map)
{
	const unsigned last = types->n_near ? types->n_near - 1 : 0;
	const uint64_t end = types->near[last].start + types->near[last].bytes;
	const bool apart = !types->n_near || map->start - end > APART;
	if (apart && types->n_near < CPROF_BASELINE_NEAR) {
		types->near[types->n_near].start = map->start;
		types->near[types->n_near++].bytes = map->end - map->start;
	} else {
		types->near[last].bytes = map->end - types->near[last].start;
	}
}

void cprof_baseline_types_init(struct cprof_baseline_types *types, struct cprof_maps *maps,
			       struct cprof_modules *modules, enum cprof_demangle form)
{
	*types = (struct cprof_baseline_types){ .maps = maps, .modules = modules, .form = form };
	for (size_t i = 0; i < maps->n_sorted; i++) {
		if (maps->sorted[i]->inode)
			add_near(types, maps->sorted[i]);
	}
}

void cprof_baseline_types_deinit(struct cprof_baseline_types *types)
{
	for (size_t i = 0; i < types->n; i++)
		free(types->all[i].name);
	free(types->all);
	free(types->read_ids);
	*types = (struct cprof_baseline_types){ 0 };
}

/* ---- one module's classes ---- */

static char *class_name(const char *symbol, enum cprof_demangle form)
{
	char *name = cprof_demangle(symbol, form);
	if (!name)
		return strdup(symbol);
	const size_t n = strlen(WHAT_IT_IS);
	if (strncmp(name, WHAT_IT_IS, n) == 0)
		memmove(name, name + n, strlen(name + n) + 1);
	return name;
}

static struct cprof_error *add(void *ctx, const char *name, uint64_t addr, uint64_t size)
{
	struct cprof_baseline_types *types = ctx;
	if (strncmp(name, "_ZTV", 4) != 0 || size <= TABLE_HEAD || size > (1u << 20) ||
	    addr + size < addr || types->n >= TYPES_MAX)
		return NULL;
	char *text = CPROF_ARRAY_ROOM(types->all, types->n, types->cap, 1)
			     ? class_name(name, types->form)
			     : NULL;
	if (!text)
		return cprof_error_no_memory();
	types->all[types->n++] =
		(struct cprof_baseline_type){ addr + TABLE_HEAD, addr + size, text };
	return NULL;
}

static int by_start(const void *a, const void *b)
{
	const struct cprof_baseline_type *left = a, *right = b;
	if (left->start != right->start)
		return left->start < right->start ? -1 : 1;
	return strcmp(left->name, right->name);
}

/* A mapping of code of the same file: it tells best how far the file was moved. */
static const struct cprof_map *code_of(const struct cprof_maps *maps, const struct cprof_map *map)
{
	const struct cprof_map *best = map;
	uint64_t least = UINT64_MAX;
	for (size_t i = 0; i < maps->n_sorted; i++) {
		const struct cprof_map *other = maps->sorted[i];
		const uint64_t far = other->start > map->start ? other->start - map->start
							       : map->start - other->start;
		if (other->inode != map->inode || other->dev != map->dev ||
		    !(other->prot & PROT_EXEC) || far >= least)
			continue;
		best = other;
		least = far;
	}
	return best;
}

/* By the mapping's number: a file mapped twice is two places with tables. */
static bool was_read(struct cprof_baseline_types *types, uint32_t id)
{
	return id / 64 < types->n_read_ids && (types->read_ids[id / 64] >> (id % 64) & 1);
}

static struct cprof_error *note_read(struct cprof_baseline_types *types, uint32_t id)
{
	const size_t need = id / 64 + 1;
	if (need > types->n_read_ids) {
		uint64_t *more = realloc(types->read_ids, need * sizeof(*more));
		if (!more)
			return cprof_error_no_memory();
		memset(more + types->n_read_ids, 0, (need - types->n_read_ids) * sizeof(*more));
		types->read_ids = more;
		types->n_read_ids = need;
	}
	types->read_ids[id / 64] |= 1ull << (id % 64);
	return NULL;
}

static struct cprof_error *read_module(struct cprof_baseline_types *types, struct cprof_map *map)
{
	struct cprof_map *code = (struct cprof_map *)(uintptr_t)code_of(types->maps, map);
	struct cprof_module *module;
	if (was_read(types, code->id))
		return note_read(types, map->id);
	struct cprof_error *err = note_read(types, code->id);
	if (!err)
		err = note_read(types, map->id);
	if (!err)
		err = cprof_modules_get(types->modules, types->maps, code, &module);
	if (!err)
		err = cprof_baseline_each_symbol(module, code, add, types);
	if (types->n)
		qsort(types->all, types->n, sizeof(*types->all), by_start);
	return err;
}

/* ---- a word's class ---- */

static const struct cprof_baseline_type *search(const struct cprof_baseline_types *types,
						uint64_t word)
{
	size_t low = 0, high = types->n;
	while (low < high) {
		const size_t mid = low + (high - low) / 2;
		if (types->all[mid].start <= word)
			low = mid + 1;
		else
			high = mid;
	}
	return low && word < types->all[low - 1].end ? &types->all[low - 1] : NULL;
}

struct cprof_error *cprof_baseline_types_find(struct cprof_baseline_types *types, uint64_t word,
					      const char **ret_name)
{
	*ret_name = NULL;
	if (!cprof_baseline_types_may(types, word))
		return NULL;
	struct cprof_map *map = types->last;
	if (!map || word < map->start || word >= map->end)
		map = cprof_maps_find(types->maps, word);
	if (!map || !map->inode)
		return NULL;
	types->last = map;
	if (!was_read(types, map->id)) {
		struct cprof_error *err = read_module(types, map);
		if (err)
			return err;
	}
	const struct cprof_baseline_type *type = search(types, word);
	*ret_name = type ? type->name : NULL;
	return NULL;
}
