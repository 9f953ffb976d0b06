/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/alloc/pool_find.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "cprof/buffer.h"
#include "cprof/demangle.h"
#include "symbolize/unwind/cfi.h"

#define MATCHES_MAX 8
#define NEAR_MAX    4096 /* names that resemble the one asked for */
#define NEAR_SHOWN  3

/* What is known of a place in the process. */
struct match {
	char name[80];
	uint64_t addr, end;
	struct cprof_map *map;
};

struct search {
	const struct cprof_pool_place *place;
	bool demangled; /* compare with names as people write them */
	struct match found[MATCHES_MAX];
	size_t n_found;
	char **near; /* owned, and each of them */
	const char **
		tail; /* owned; of each what is compared: as many of its components as were asked for */
	size_t n_near;
};

/* ---- by name ---- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* "/usr/lib/libpool.so.1", "libpool.so.1" or "libpool". */
static bool is_object(const struct cprof_map *map, const char *wanted)
{
	const char *base = base_name(map->path);
	size_t n = strlen(wanted);
	return strcmp(map->path, wanted) == 0 || strcmp(base, wanted) == 0 ||
	       (strncmp(base, wanted, n) == 0 && strncmp(base + n, ".so", 3) == 0);
}

static bool is_mangled(const char *symbol)
{
	return strncmp(symbol, "_Z", 2) == 0 || strncmp(symbol, "_R", 2) == 0;
}

/*
 * "Arena::take" or "Arena::take(unsigned long)". Not a compiler's variant (f.constprop.0): its arguments are others
 * than the user thinks.
 */
static bool is_demangled(const char *symbol, const char *wanted)
{
	if (!is_mangled(symbol) || strchr(symbol, '.'))
		return false;
	CPROF_AUTO(free) char *brief = cprof_demangle(symbol, CPROF_DEMANGLE_SHORT);
	if (brief && strcmp(brief, wanted) == 0)
		return true;
	CPROF_AUTO(free) char *full = cprof_demangle(symbol, CPROF_DEMANGLE_FULL);
	return full && strcmp(full, wanted) == 0;
}

static struct cprof_error *match_symbol(void *ctx, struct cprof_map *map, const char *name,
					uint64_t addr, uint64_t end)
{
	struct search *search = ctx;
	const struct cprof_pool_place *place = search->place;
	if (place->object && !is_object(map, place->object))
		return NULL;
	if (search->demangled ? !is_demangled(name, place->name) : strcmp(name, place->name) != 0)
		return NULL;
	for (size_t i = 0; i < search->n_found; i++) {
		if (search->found[i].addr == addr)
			return NULL;
	}
	if (search->n_found == MATCHES_MAX)
		return NULL;
	struct match *match = &search->found[search->n_found++];
	*match = (struct match){ .addr = addr, .end = end, .map = map };
	snprintf(match->name, sizeof(match->name), "%s", place->name);
	return NULL;
}

/* ---- what was meant ---- */

static size_t components(const char *name)
{
	size_t n = 1;
	for (; (name = strstr(name, "::")) != NULL; name += 2)
		n++;
	return n;
}

/* "arena::take" of "house::arena::take", where two were asked for. */
static const char *tail_of(const char *name, size_t wanted)
{
	for (size_t n = components(name); n > wanted; n--)
		name = strstr(name, "::") + 2;
	return name;
}

static bool room_for_near(struct search *search)
{
	if (!search->near)
		search->near = calloc(NEAR_MAX, sizeof(*search->near));
	if (!search->tail)
		search->tail = calloc(NEAR_MAX, sizeof(*search->tail));
	return search->near && search->tail;
}

static struct cprof_error *collect_near(void *ctx, struct cprof_map *map, const char *name,
					uint64_t addr, uint64_t end)
{
	struct search *search = ctx;
	(void)map, (void)addr, (void)end;
	CPROF_AUTO(free)
	char *brief = is_mangled(name) ? cprof_demangle(name, CPROF_DEMANGLE_SHORT) : NULL;
	const char *shown = brief ? brief : name;
	size_t wanted = components(search->place->name);
	const char *tail = tail_of(shown, wanted);
	if (!cprof_options_nearest(search->place->name, &tail, 1) || search->n_near == NEAR_MAX)
		return NULL;
	for (size_t i = 0; i < search->n_near; i++) {
		if (strcmp(search->near[i], shown) == 0)
			return NULL;
	}
	char *copy = room_for_near(search) ? strdup(shown) : NULL;
	if (!copy)
		return cprof_error_no_memory();
	search->tail[search->n_near] = tail_of(copy, wanted);
	search->near[search->n_near++] = copy;
	return NULL;
}

/* The nearest first; each that was named is taken out. */
static void list_near(struct search *search, struct cprof_buffer *out)
{
	for (size_t shown = 0; shown < NEAR_SHOWN && search->n_near; shown++) {
		const char *best =
			cprof_options_nearest(search->place->name, search->tail, search->n_near);
		size_t i = 0;
		while (i < search->n_near && search->tail[i] != best)
			i++;
		if (i == search->n_near)
			return;
		cprof_buffer_printf(out, "%s%s", shown ? ", " : "", search->near[i]);
		free(search->near[i]);
		search->n_near--;
		search->near[i] = search->near[search->n_near];
		search->tail[i] = search->tail[search->n_near];
	}
}

static struct cprof_error *no_object(const struct cprof_maps *maps, const char *object)
{
	for (size_t i = 0; i < maps->n_sorted; i++) {
		if ((maps->sorted[i]->prot & PROT_EXEC) && is_object(maps->sorted[i], object))
			return NULL;
	}
	struct cprof_error *err =
		cprof_error_new(CPROF_ERR_USAGE, "process %d has no program or library \"%s\"",
				(int)maps->pid, object);
	return cprof_error_hint(err, "those it has are in /proc/%d/maps", (int)maps->pid);
}

static struct cprof_error *unknown(struct search *search, struct cprof_maps *maps,
				   struct cprof_modules *modules)
{
	const struct cprof_pool_place *place = search->place;
	struct cprof_buffer near = { 0 };
	struct cprof_error *err = place->object ? no_object(maps, place->object) : NULL;
	if (!err)
		err = cprof_alloc_each_symbol(maps, modules, collect_near, search);
	if (!err) {
		list_near(search, &near);
		err = cprof_error_new(CPROF_ERR_USAGE,
				      "process %d has no function \"%s\"%s%s that it has a symbol "
				      "for",
				      (int)maps->pid, place->name, place->object ? " in " : "",
				      place->object ? place->object : "");
		err = near.len ? cprof_error_hint(err, "the nearest names are: %.*s", (int)near.len,
						  (const char *)near.data)
			       : cprof_error_hint(err, "stripped, inlined or not loaded yet? An "
						       "address will do: alloc=0x...");
	}
	cprof_buffer_deinit(&near);
	return err;
}

static struct cprof_error *several(const struct search *search)
{
	struct cprof_buffer list = { 0 };
	for (size_t i = 0; i < search->n_found; i++)
		cprof_buffer_printf(&list, "%s0x%" PRIx64 " in %s", i ? ", " : "",
				    search->found[i].addr, search->found[i].map->path);
	struct cprof_error *err = cprof_error_new(
		CPROF_ERR_USAGE, "\"%s\" is the name of %s%zu functions: %.*s", search->place->name,
		search->n_found == MATCHES_MAX ? "at least " : "", search->n_found, (int)list.len,
		(const char *)list.data);
	cprof_buffer_deinit(&list);
	return cprof_error_hint(err, "say which: %s@%s, or by its address", search->place->name,
				base_name(search->found[0].map->path));
}

static struct cprof_error *by_name(const struct cprof_pool_place *place, struct cprof_maps *maps,
				   struct cprof_modules *modules, struct match *ret_match)
{
	struct search search = { .place = place };
	struct cprof_error *err = cprof_alloc_each_symbol(maps, modules, match_symbol, &search);
	if (!err && !search.n_found) {
		search.demangled = true;
		err = cprof_alloc_each_symbol(maps, modules, match_symbol, &search);
	}
	if (!err && !search.n_found)
		err = unknown(&search, maps, modules);
	if (!err && search.n_found > 1)
		err = several(&search);
	for (size_t i = 0; i < search.n_near; i++)
		free(search.near[i]);
	free(search.near);
	free(search.tail);
	if (!err)
		*ret_match = search.found[0];
	return err;
}

/* ---- by address ---- */

struct at_address {
	uint64_t addr;
	struct match begins, covers; /* name "" : none */
};

static struct cprof_error *match_address(void *ctx, struct cprof_map *map, const char *name,
					 uint64_t addr, uint64_t end)
{
	struct at_address *at = ctx;
	struct match *match = addr == at->addr ? &at->begins : &at->covers;
	if (at->addr < addr || at->addr >= end || match->name[0])
		return NULL;
	*match = (struct match){ .addr = addr, .end = end, .map = map };
	snprintf(match->name, sizeof(match->name), "%s", name);
	return NULL;
}

/* Without symbols: what the tables for unwinding have of it. */
static void from_unwind_table(const struct cprof_maps *maps, struct cprof_modules *modules,
			      struct cprof_map *map, struct match *match)
{
	struct cprof_module *module;
	struct cprof_cfi *cfi;
	struct cprof_cfi_fde fde;
	uint64_t file_addr;
	struct cprof_error *err = cprof_modules_get(modules, maps, map, &module);
	if (!err && (!module->image || map->moved))
		return;
	if (!err)
		err = cprof_cfi_get(module, &cfi);
	if (err) {
		cprof_error_free(err);
		return;
	}
	if (!cprof_module_file_addr(module, map, match->addr, &file_addr) ||
	    !cprof_cfi_find(cfi, file_addr, &fde))
		return;
	uint64_t start = match->addr - (file_addr - fde.start);
	match->end = match->addr + (fde.end - file_addr);
	match->addr = start;
}

static struct cprof_error *inside(uint64_t addr, const struct match *function)
{
	struct cprof_error *err = cprof_error_new(
		CPROF_ERR_USAGE, "0x%" PRIx64 " is inside of %s, which begins at 0x%" PRIx64, addr,
		function->name, function->addr);
	return cprof_error_hint(err, "give the address of its first instruction");
}

static struct cprof_error *by_address(uint64_t addr, struct cprof_maps *maps,
				      struct cprof_modules *modules, struct match *ret_match)
{
	struct cprof_map *map = cprof_maps_find(maps, addr);
	if (!map || !(map->prot & PROT_EXEC) || !map->inode)
		return cprof_error_hint(cprof_error_new(CPROF_ERR_USAGE,
							"0x%" PRIx64
							" is not executable memory of process %d",
							addr, (int)maps->pid),
					"an address as it is while the program runs is wanted, "
					"not one of its file; /proc/%d/maps shows where that is "
					"mapped",
					(int)maps->pid);
	struct at_address at = { .addr = addr };
	struct cprof_error *err = cprof_alloc_each_symbol(maps, modules, match_address, &at);
	if (err)
		return err;
	*ret_match = at.begins.name[0] ? at.begins : at.covers;
	if (!ret_match->name[0]) {
		*ret_match = (struct match){ .addr = addr, .end = addr + 1, .map = map };
		snprintf(ret_match->name, sizeof(ret_match->name), "0x%" PRIx64, addr);
		from_unwind_table(maps, modules, map, ret_match);
		if (ret_match->addr != addr)
			snprintf(ret_match->name, sizeof(ret_match->name), "a function");
	}
	return ret_match->addr == addr ? NULL : inside(addr, ret_match);
}

/* ---- all of them ---- */

static bool same_meaning(const struct cprof_alloc_entry *a, const struct cprof_alloc_entry *b)
{
	return a->kind == b->kind && memcmp(&a->pool, &b->pool, sizeof(a->pool)) == 0;
}

static struct cprof_error *add(struct cprof_alloc_entries *entries, const struct match *match,
			       uint8_t kind, const struct cprof_shim_pool *pool)
{
	struct cprof_alloc_entry entry = { .addr = match->addr,
					   .end = match->end,
					   .kind = kind,
					   .custom = true,
					   .pool = *pool,
					   .map = match->map };
	memcpy(entry.name, match->name, sizeof(entry.name));
	for (size_t i = 0; i < entries->n; i++) {
		const struct cprof_alloc_entry *known = &entries->all[i];
		if (known->addr != entry.addr)
			continue;
		if (known->custom && !same_meaning(known, &entry))
			return cprof_error_new(CPROF_ERR_USAGE,
					       "%s is said to be two different things", entry.name);
		/* The C library's own free, named as a pool's: that is known. */
		if (known->custom || (known->kind == CPROF_SHIM_FREE &&
				      kind == CPROF_SHIM_POOL_FREE && pool->old.arg == 0))
			return NULL;
	}
	return cprof_alloc_entries_add_custom(entries, &entry);
}

/* A name may be that of an indirect function: what it has become is meant. */
static struct cprof_error *follow(struct cprof_maps *maps, struct cprof_modules *modules,
				  struct match *match)
{
	struct cprof_alloc_entry entry = { .addr = match->addr,
					   .end = match->end,
					   .map = match->map };
	memcpy(entry.name, match->name, sizeof(entry.name));
	struct cprof_error *err =
		cprof_alloc_is_indirect(maps, modules, match->map, match->addr, &entry.indirect);
	if (!err)
		err = cprof_alloc_entry_follow(&entry, maps, modules);
	if (!err && entry.why_not)
		err = cprof_error_new(CPROF_ERR_UNSUPPORTED, "%s cannot be hooked: %s", entry.name,
				      entry.why_not);
	if (err)
		return err;
	match->addr = entry.addr;
	match->end = entry.end;
	match->map = entry.map;
	return NULL;
}

static struct cprof_error *find(const struct cprof_pool_place *place, struct cprof_maps *maps,
				struct cprof_modules *modules, struct match *ret_match)
{
	if (place->addr)
		return by_address(place->addr, maps, modules, ret_match);
	struct cprof_error *err = by_name(place, maps, modules, ret_match);
	return err ? err : follow(maps, modules, ret_match);
}

static struct cprof_error *find_spec(const struct cprof_pool_spec *spec, struct cprof_maps *maps,
				     struct cprof_modules *modules,
				     struct cprof_alloc_entries *entries)
{
	struct match match;
	struct cprof_error *err = NULL;
	if (cprof_pool_place_given(&spec->alloc)) {
		bool moves = spec->alloc_args.old.arg != CPROF_SHIM_NO_ARG;
		err = find(&spec->alloc, maps, modules, &match);
		if (!err)
			err = add(entries, &match,
				  moves ? CPROF_SHIM_POOL_REALLOC : CPROF_SHIM_POOL,
				  &spec->alloc_args);
	}
	if (!err && cprof_pool_place_given(&spec->free)) {
		const struct cprof_shim_pool pool = { .size.arg = CPROF_SHIM_NO_ARG,
						      .times.arg = CPROF_SHIM_NO_ARG,
						      .old = spec->free_arg };
		err = find(&spec->free, maps, modules, &match);
		if (!err)
			err = add(entries, &match, CPROF_SHIM_POOL_FREE, &pool);
	}
	return err ? cprof_error_wrap(err, "-heap-hook %s", spec->text) : NULL;
}

struct cprof_error *cprof_pool_find(const struct cprof_pool_specs *specs, struct cprof_maps *maps,
				    struct cprof_modules *modules,
				    struct cprof_alloc_entries *entries)
{
	for (size_t i = 0; i < specs->n; i++) {
		struct cprof_error *err = find_spec(&specs->all[i], maps, modules, entries);
		if (err)
			return err;
	}
	return NULL;
}

bool cprof_pool_find_inside(const struct cprof_alloc_entries *entries, uint64_t addr)
{
	for (size_t i = 0; i < entries->n; i++) {
		const struct cprof_alloc_entry *entry = &entries->all[i];
		if (entry->custom && !cprof_shim_frees(entry->kind) && addr >= entry->addr &&
		    addr < entry->end)
			return true;
	}
	return false;
}
