/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/alloc/alloc_find.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "attach/heap/alloc/alloc_indirect.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "symbolize/elf/elf_file.h"
#include "symbolize/names/symbols.h"
#include "symbolize/process/debug_file.h"

/* Functions of one allocator closer than this are one range: what lies between are their helpers. */
#define HELPERS_GAP 16384u
/* A symbol without size: not looked at further than this. */
#define FUNCTION_MAX 16384u
/* Names of an object that mean something, each of them in up to three tables. */
#define CANDIDATES_MAX 512u

void cprof_alloc_entries_deinit(struct cprof_alloc_entries *entries)
{
	free(entries->all);
	free(entries->objects);
	*entries = (struct cprof_alloc_entries){ 0 };
}

static struct cprof_error *add_entry(struct cprof_alloc_entries *entries,
				     const struct cprof_alloc_entry *entry)
{
	for (size_t i = 0; i < entries->n; i++) {
		struct cprof_alloc_entry *known = &entries->all[i];
		if (known->addr != entry->addr)
			continue;
		if (known->custom)
			return NULL;
		/* A C++ name of what is malloc as well (tcmalloc's delete is free): the plain name stays. */
		if (entry->group < known->group ||
		    (entry->group == known->group && strlen(entry->name) < strlen(known->name)))
			*known = *entry;
		return NULL;
	}
	if (!CPROF_ARRAY_ROOM(entries->all, entries->n, entries->cap, 1))
		return cprof_error_no_memory();
	entries->all[entries->n++] = *entry;
	return NULL;
}

/* ---- one object's symbols ---- */

/* The object's symbol tables, unsorted: the names are wanted, all of them. */
struct object {
	struct cprof_elf *elf, *mini, *debug;
	struct cprof_symbols symbols;
};

static void object_close(struct object *object)
{
	cprof_symbols_deinit(&object->symbols);
	cprof_elf_free(object->debug);
	cprof_elf_free(object->mini);
	cprof_elf_free(object->elf);
}

static struct cprof_error *add_tables(struct object *object, struct cprof_elf *elf)
{
	static const uint32_t types[] = { SHT_DYNSYM, SHT_SYMTAB };
	for (size_t i = 0; i < 2; i++) {
		const struct cprof_section *table = cprof_elf_section_of_type(elf, types[i]);
		struct cprof_error *err =
			table ? cprof_symbols_add_table(&object->symbols, elf, table, NULL) : NULL;
		if (err)
			return err;
	}
	return NULL;
}

/* What is no ELF file or is broken has no symbols; only running out of memory is an error. */
static struct cprof_error *object_open(struct cprof_module *module, struct object *object)
{
	*object = (struct object){ 0 };
	if (!module->image)
		return NULL;
	struct cprof_error *err = cprof_elf_open(module->image, true, &object->elf);
	if (err && err->code != CPROF_ERR_NO_MEMORY) {
		cprof_error_free(err);
		object->elf = NULL;
		return NULL;
	}
	if (!err)
		err = add_tables(object, object->elf);
	if (!err)
		err = cprof_debug_file_unpack(object->elf, &object->mini);
	if (!err && object->mini)
		err = add_tables(object, object->mini);
	return err;
}

/* The symbols of its separate debug file as well: for names that only the user knows. */
static struct cprof_error *object_add_debug_file(struct cprof_module *module, struct object *object)
{
	const struct cprof_debug_roots roots = { .target_root = module->root,
						 .module_path = module->path };
	if (!object->elf)
		return NULL;
	struct cprof_error *err = cprof_debug_file_find(object->elf, &roots, NULL, &object->debug);
	return err || !object->debug ? err : add_tables(object, object->debug);
}

/*
 * A program whose symbols are elsewhere may have its allocator inside. Libraries export theirs, and their debug files,
 * large ones often, are not opened for nothing.
 */
static bool is_stripped_program(const struct cprof_maps *maps, const struct cprof_map *map,
				const struct object *object)
{
	return object->elf && map->inode == maps->exe_inode && map->dev == maps->exe_dev &&
	       !cprof_elf_section_of_type(object->elf, SHT_SYMTAB);
}

static bool run_time(const struct cprof_module *module, const struct cprof_map *map,
		     const struct cprof_symbol *symbol, uint64_t *ret_addr, uint64_t *ret_end)
{
	if (!cprof_module_run_time(module, map, symbol->start, ret_addr))
		return false;
	uint64_t bytes = symbol->end - symbol->start;
	*ret_end = *ret_addr + (bytes < FUNCTION_MAX ? bytes : FUNCTION_MAX);
	if (*ret_end > map->end)
		*ret_end = map->end;
	return true;
}

/* Where `name` is in this object's mapping; 0 if it is not. */
static uint64_t address_of(const struct object *object, const struct cprof_module *module,
			   const struct cprof_map *map, const char *name, uint64_t *ret_end)
{
	uint64_t addr;
	for (size_t i = 0; i < object->symbols.n; i++) {
		const struct cprof_symbol *symbol = &object->symbols.all[i];
		if (strcmp(symbol->name, name) == 0 &&
		    run_time(module, map, symbol, &addr, ret_end))
			return addr;
	}
	return 0;
}

/*
 * A library that starts programs is the C library, whichever it is. In a static program the C library's own malloc is not
 * there where the program brings another, or is not what is called malloc: glibc's, musl's.
 */
static bool is_c_library(const struct object *object, const struct cprof_module *module,
			 const struct cprof_maps *maps, const struct cprof_map *map)
{
	uint64_t end;
	if (map->inode != maps->exe_inode || map->dev != maps->exe_dev)
		return address_of(object, module, map, "__libc_start_main", &end) != 0;
	uint64_t plain = address_of(object, module, map, "malloc", &end);
	return plain && (address_of(object, module, map, "__libc_malloc", &end) == plain ||
			 address_of(object, module, map, "default_malloc", &end) == plain);
}

struct candidates {
	struct cprof_alloc_entry all[CANDIDATES_MAX];
	size_t prefix[CANDIDATES_MAX];
	size_t n;
	bool known;
	uint32_t
		allocates; /* bit p: there is malloc, or with prefix p any function that allocates */
};

static void collect(const struct object *object, const struct cprof_module *module,
		    struct cprof_map *map, struct candidates *found)
{
	for (size_t i = 0; i < object->symbols.n && found->n < CANDIDATES_MAX; i++) {
		const struct cprof_symbol *symbol = &object->symbols.all[i];
		size_t prefix;
		found->known = found->known || cprof_alloc_is_known_by(symbol->name);
		const struct cprof_alloc_function *row =
			cprof_alloc_function_find(symbol->name, &prefix);
		struct cprof_alloc_entry entry = { .map = map };
		if (!row || !run_time(module, map, symbol, &entry.addr, &entry.end))
			continue;
		snprintf(entry.name, sizeof(entry.name), "%s", symbol->name);
		entry.kind = row->kind;
		entry.group = row->group;
		entry.throws = row->sister != NULL;
		entry.pool = row->pool;
		entry.indirect = symbol->indirect;
		uint64_t end;
		if (row->sister)
			entry.sister = address_of(object, module, map, row->sister, &end);
		/* In a static program the C++ library's own, alone: it calls malloc and is counted there. */
		if (row->sister && !entry.sister)
			continue;
		if (strcmp(row->name, "malloc") == 0 || (prefix && !cprof_shim_frees(row->kind)))
			found->allocates |= 1u << prefix;
		found->prefix[found->n] = prefix;
		found->all[found->n++] = entry;
	}
}

static uint64_t named(const struct candidates *found, const char *name)
{
	for (size_t i = 0; i < found->n; i++) {
		if (strcmp(found->all[i].name, name) == 0)
			return found->all[i].addr;
	}
	return 0;
}

/*
 * A function belongs to an allocator only if the same object has its malloc: somebody's own "free" is not the C
 * library's. A prefix says more: a linker may have left out an unused mi_malloc, not what the program allocates with. A __libc_ name that is no alias of the plain one would be counted twice.
 */
static bool belongs(const struct candidates *found, size_t i)
{
	if (!(found->allocates & 1u << found->prefix[i]))
		return false;
	const struct cprof_alloc_entry *entry = &found->all[i];
	if (strncmp(entry->name, "__libc_", 7) != 0)
		return true;
	uint64_t plain = named(found, entry->name + 7);
	return !plain || plain == entry->addr;
}

/* ---- jumps from one to the other ---- */

static bool read_code(const struct cprof_maps *maps, uint64_t addr, void *buf, size_t n)
{
	return maps->memory.read(maps->memory.ctx, addr, buf, n);
}

/* If the function at `addr` is a mere jump: where to, through a PLT slot if there is one; else 0. */
static uint64_t follow(const struct cprof_maps *maps, uint64_t addr)
{
	uint8_t code[16];
	for (unsigned hop = 0; hop < 3; hop++) {
		if (!read_code(maps, addr, code, sizeof(code)))
			return 0;
		size_t at = memcmp(code, "\xf3\x0f\x1e\xfa", 4) == 0 ? 4 : 0;
		at += code[at] == 0xf2; /* bnd */
		int32_t rel;
		if (code[at] == 0xe9) {
			memcpy(&rel, code + at + 1, 4);
			addr += at + 5 + (uint64_t)(int64_t)rel;
		} else if (code[at] == 0xff && code[at + 1] == 0x25) {
			memcpy(&rel, code + at + 2, 4);
			uint64_t slot = addr + at + 6 + (uint64_t)(int64_t)rel;
			if (!read_code(maps, slot, &addr, sizeof(addr)))
				return 0;
			return addr;
		} else {
			return hop ? addr : 0;
		}
	}
	return addr;
}

/* One that only jumps to another entry is counted there. */
static void drop_jumps(const struct cprof_maps *maps, struct cprof_alloc_entries *entries,
		       size_t from)
{
	for (size_t i = from; i < entries->n;) {
		uint64_t to = follow(maps, entries->all[i].addr);
		bool known = false;
		for (size_t k = 0; to && k < entries->n; k++)
			known |= k != i && entries->all[k].addr == to;
		if (known)
			entries->all[i] = entries->all[--entries->n];
		else
			i++;
	}
}

/* ---- ranges ---- */

static void add_range(struct cprof_alloc_entries *entries, uint64_t start, uint64_t end,
		      uint64_t gap)
{
	for (size_t i = 0; i < entries->n_ranges; i++) {
		struct cprof_shim_range *range = &entries->ranges[i];
		if (start <= range->end + gap && end + gap >= range->start) {
			if (start < range->start)
				range->start = start;
			if (end > range->end)
				range->end = end;
			return;
		}
	}
	if (entries->n_ranges < CPROF_SHIM_MAX_RANGES)
		entries->ranges[entries->n_ranges++] =
			(struct cprof_shim_range){ .start = start, .end = end };
}

static int by_address(const void *a_, const void *b_)
{
	const struct cprof_alloc_entry *a = a_, *b = b_;
	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

static void add_ranges(struct cprof_alloc_entries *entries, size_t from,
		       const struct cprof_map *map)
{
	if (entries->n > from && cprof_alloc_is_library(map->path)) {
		add_range(entries, map->start, map->end, 0);
		return;
	}
	for (size_t i = from; i < entries->n; i++) {
		const struct cprof_alloc_entry *entry = &entries->all[i];
		add_range(entries, entry->addr, entry->end,
			  entry->group == CPROF_ALLOC_C ? HELPERS_GAP : 0);
	}
}

/* ---- indirect functions ---- */

struct cprof_error *cprof_alloc_entry_follow(struct cprof_alloc_entry *entry,
					     struct cprof_maps *maps, struct cprof_modules *modules)
{
	struct cprof_alloc_indirect found;
	uint64_t resolver = entry->addr;
	struct cprof_error *err = NULL;
	if (!entry->indirect)
		err = cprof_alloc_indirect_resolver(maps, modules, entry->map, entry->addr,
						    &resolver);
	if (!err && resolver)
		err = cprof_alloc_indirect_find(maps, modules, entry->map, entry->name, resolver,
						&found);
	if (err || !resolver)
		return err;
	entry->indirect = true;
	entry->why_not = found.why_not;
	if (!found.addr)
		return NULL;
	entry->indirect = false;
	entry->addr = found.addr;
	entry->end = found.end;
	entry->map = found.map;
	return NULL;
}

/* ---- all objects ---- */

static struct cprof_error *look_at(struct cprof_alloc_entries *entries, struct cprof_maps *maps,
				   struct cprof_modules *modules, struct cprof_map *map)
{
	struct cprof_module *module;
	struct cprof_error *err = cprof_modules_get(modules, maps, map, &module);
	if (err)
		return err;
	struct object object;
	CPROF_AUTO(free) struct candidates *found = calloc(1, sizeof(*found));
	if (!found)
		return cprof_error_no_memory();
	err = object_open(module, &object);
	if (!err && is_stripped_program(maps, map, &object))
		err = object_add_debug_file(module, &object);
	size_t from = entries->n;
	if (!err)
		collect(&object, module, map, found);
	found->known = found->known || is_c_library(&object, module, maps, map) ||
		       cprof_alloc_is_library(map->path);
	for (size_t i = 0; !err && i < found->n; i++) {
		if (!belongs(found, i))
			continue;
		err = cprof_alloc_entry_follow(&found->all[i], maps, modules);
		found->all[i].known = found->known && found->all[i].map == map;
		if (!err)
			err = add_entry(entries, &found->all[i]);
	}
	object_close(&object);
	if (err)
		return err;
	if (entries->n > from)
		qsort(entries->all + from, entries->n - from, sizeof(*entries->all), by_address);
	add_ranges(entries, from, map);
	drop_jumps(maps, entries, from);
	return NULL;
}

static bool is_new(const struct cprof_alloc_entries *entries, const struct cprof_map *map)
{
	for (size_t i = 0; i < entries->n_objects; i++) {
		if (entries->objects[i] == map)
			return false;
	}
	return true;
}

struct cprof_error *cprof_alloc_find(struct cprof_alloc_entries *entries, struct cprof_maps *maps,
				     struct cprof_modules *modules)
{
	for (size_t i = 0; i < maps->n_sorted; i++) {
		struct cprof_map *map = maps->sorted[i];
		if (!(map->prot & PROT_EXEC) || !map->inode || !is_new(entries, map))
			continue;
		if (!CPROF_ARRAY_ROOM(entries->objects, entries->n_objects, entries->cap_objects,
				      1))
			return cprof_error_no_memory();
		entries->objects[entries->n_objects++] = map;
		struct cprof_error *err = look_at(entries, maps, modules, map);
		if (err)
			return err;
	}
	return NULL;
}

struct cprof_error *cprof_alloc_is_indirect(const struct cprof_maps *maps,
					    struct cprof_modules *modules, struct cprof_map *map,
					    uint64_t addr, bool *ret_indirect)
{
	struct cprof_module *module;
	struct object object;
	*ret_indirect = false;
	struct cprof_error *err = cprof_modules_get(modules, maps, map, &module);
	if (err)
		return err;
	err = object_open(module, &object);
	for (size_t i = 0; !err && i < object.symbols.n; i++) {
		const struct cprof_symbol *symbol = &object.symbols.all[i];
		uint64_t at, end;
		if (symbol->indirect && run_time(module, map, symbol, &at, &end) && at == addr)
			*ret_indirect = true;
	}
	object_close(&object);
	return err;
}

static struct cprof_error *each_symbol_of(struct cprof_module *module, struct cprof_map *map,
					  cprof_alloc_symbol_fn *fn, void *ctx)
{
	struct object object;
	struct cprof_error *err = object_open(module, &object);
	if (!err)
		err = object_add_debug_file(module, &object);
	for (size_t i = 0; !err && i < object.symbols.n; i++) {
		const struct cprof_symbol *symbol = &object.symbols.all[i];
		uint64_t addr, end;
		if (run_time(module, map, symbol, &addr, &end))
			err = fn(ctx, map, symbol->name, addr, end);
	}
	object_close(&object);
	return err;
}

struct cprof_error *cprof_alloc_each_symbol(struct cprof_maps *maps, struct cprof_modules *modules,
					    cprof_alloc_symbol_fn *fn, void *ctx)
{
	for (size_t i = 0; i < maps->n_sorted; i++) {
		struct cprof_map *map = maps->sorted[i];
		struct cprof_module *module;
		if (!(map->prot & PROT_EXEC) || !map->inode)
			continue;
		struct cprof_error *err = cprof_modules_get(modules, maps, map, &module);
		if (!err)
			err = each_symbol_of(module, map, fn, ctx);
		if (err)
			return err;
	}
	return NULL;
}

struct cprof_error *cprof_alloc_entries_add_custom(struct cprof_alloc_entries *entries,
						   const struct cprof_alloc_entry *entry)
{
	for (size_t i = 0; i < entries->n; i++) {
		if (entries->all[i].addr == entry->addr) {
			const bool known = entries->all[i].known;
			entries->all[i] = *entry;
			entries->all[i].known = known;
			return NULL;
		}
	}
	if (!cprof_shim_frees(entry->kind))
		add_range(entries, entry->addr, entry->end, 0);
	return add_entry(entries, entry);
}

bool cprof_alloc_entries_hold(const struct cprof_alloc_entries *entries, uint64_t addr)
{
	for (size_t i = 0; i < entries->n_ranges; i++) {
		if (addr - entries->ranges[i].start <
		    entries->ranges[i].end - entries->ranges[i].start)
			return true;
	}
	for (size_t i = 0; i < entries->n; i++) {
		if (addr - entries->all[i].addr < entries->all[i].end - entries->all[i].addr)
			return true;
	}
	return false;
}
