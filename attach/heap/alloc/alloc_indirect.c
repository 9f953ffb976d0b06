/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/alloc/alloc_indirect.h"

#include <string.h>
#include <sys/mman.h>

#include "attach/heap/code/code_object.h"
#include "base/cleanup.h"

#define FUNCTION_MAX 16384u /* where nothing says how long it is */

struct search {
	struct cprof_maps *maps;
	struct cprof_modules *modules;
	struct cprof_map *map; /* of the resolver */
	const char *name;
	uint64_t resolver; /* as in its file */
	uint64_t found;    /* run-time; 0: nothing yet */
	bool several;
};

static bool read_target(const struct cprof_maps *maps, uint64_t addr, void *buf, size_t n)
{
	return maps->memory.read(maps->memory.ctx, addr, buf, n);
}

/* A slot whose function was never called leads into the PLT, to what asks the linker: "push number". */
static bool is_unresolved(const struct cprof_maps *maps, uint64_t addr)
{
	uint8_t code[5];
	if (!read_target(maps, addr, code, sizeof(code)))
		return true;
	return code[memcmp(code, "\xf3\x0f\x1e\xfa", 4) == 0 ? 4 : 0] == 0x68;
}

/* Only the object's own relocations may lead out of it: a slot of that name elsewhere may hold another one's function. */
static bool is_answer(const struct search *search, uint64_t addr, bool own)
{
	const struct cprof_map *map = cprof_maps_find(search->maps, addr);
	return map && map->inode && (map->prot & PROT_EXEC) && (own || map == search->map) &&
	       !is_unresolved(search->maps, addr);
}

static void take_slot(struct search *search, uint64_t place, bool own)
{
	uint64_t addr;
	if (!read_target(search->maps, place, &addr, sizeof(addr)) ||
	    !is_answer(search, addr, own) || addr == search->found)
		return;
	search->several = search->found != 0;
	search->found = search->found ? search->found : addr;
}

/* Is this word filled with what the function has become? */
static bool is_its_slot(const struct search *search, const struct cprof_code_slot *slot, bool own)
{
	if (own && slot->addr)
		return slot->addr == search->resolver;
	/* Another object may have one of its own, but where it is this one's the value says so. */
	return slot->name && strcmp(slot->name, search->name) == 0;
}

static struct cprof_error *look_at(struct search *search, struct cprof_map *map)
{
	struct cprof_module *module;
	struct cprof_code_object *object;
	uint64_t start;
	struct cprof_error *err = cprof_modules_get(search->modules, search->maps, map, &module);
	if (err || !cprof_module_file_addr(module, map, map->start, &start))
		return err;
	err = cprof_code_object_new(module, &object);
	if (err) {
		if (err->code == CPROF_ERR_NO_MEMORY)
			return err;
		cprof_error_free(err); /* what cannot be read tells nothing */
		return NULL;
	}
	for (size_t i = 0; i < object->n_slots && !search->several; i++) {
		const struct cprof_code_slot *slot = &object->slots[i];
		if (is_its_slot(search, slot, map == search->map))
			take_slot(search, slot->place + (map->start - start), map == search->map);
	}
	cprof_code_object_free(object);
	return NULL;
}

static struct cprof_error *look_at_others(struct search *search)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < search->maps->n_sorted && !search->several; i++) {
		struct cprof_map *map = search->maps->sorted[i];
		if ((map->prot & PROT_EXEC) && map->inode && map != search->map)
			err = look_at(search, map);
	}
	return err;
}

/* The object that has `addr` and where that is in its file; NULL where it is none that can be read. The caller frees it. */
static struct cprof_error *open_object(struct cprof_maps *maps, struct cprof_modules *modules,
				       struct cprof_map *map, uint64_t addr,
				       struct cprof_code_object **ret_object,
				       uint64_t *ret_file_addr)
{
	struct cprof_module *module;
	*ret_object = NULL;
	struct cprof_error *err = cprof_modules_get(modules, maps, map, &module);
	if (err || !cprof_module_file_addr(module, map, addr, ret_file_addr))
		return err;
	err = cprof_code_object_new(module, ret_object);
	if (err && err->code == CPROF_ERR_NO_MEMORY)
		return err;
	cprof_error_free(err);
	return NULL;
}

/* As far as its object says, else a page or four. */
static struct cprof_error *find_end(const struct search *search, struct cprof_map *map,
				    uint64_t *ret_end)
{
	struct cprof_code_object *object;
	uint64_t file_addr, start, end;
	const uint64_t most = map->end - search->found;
	*ret_end = search->found + (most < FUNCTION_MAX ? most : FUNCTION_MAX);
	struct cprof_error *err =
		open_object(search->maps, search->modules, map, search->found, &object, &file_addr);
	if (err || !object)
		return err;
	if (cprof_code_object_function(object, file_addr, &start, &end) && start == file_addr &&
	    end - start < *ret_end - search->found)
		*ret_end = search->found + (end - start);
	cprof_code_object_free(object);
	return NULL;
}

/* "jmp *slot(%rip)", after a landing pad perhaps: an entry of a PLT begins so. */
static bool jumps_by_slot(const struct cprof_maps *maps, uint64_t addr)
{
	uint8_t code[8];
	if (!read_target(maps, addr, code, sizeof(code)))
		return false;
	size_t at = memcmp(code, "\xf3\x0f\x1e\xfa", 4) == 0 ? 4 : 0;
	at += code[at] == 0xf2; /* bnd */
	return code[at] == 0xff && code[at + 1] == 0x25;
}

struct cprof_error *cprof_alloc_indirect_resolver(struct cprof_maps *maps,
						  struct cprof_modules *modules,
						  struct cprof_map *map, uint64_t addr,
						  uint64_t *ret_resolver)
{
	struct cprof_code_object *object;
	uint64_t file_addr;
	*ret_resolver = 0;
	if (!jumps_by_slot(maps, addr))
		return NULL;
	struct cprof_error *err = open_object(maps, modules, map, addr, &object, &file_addr);
	if (err || !object)
		return err;
	const struct cprof_code_slot *slot = cprof_code_object_plt(object, file_addr);
	if (slot && slot->resolver)
		*ret_resolver = addr + (slot->addr - file_addr);
	cprof_code_object_free(object);
	return NULL;
}

struct cprof_error *cprof_alloc_indirect_find(struct cprof_maps *maps,
					      struct cprof_modules *modules, struct cprof_map *map,
					      const char *name, uint64_t resolver,
					      struct cprof_alloc_indirect *ret_indirect)
{
	struct search search = { .maps = maps, .modules = modules, .map = map, .name = name };
	struct cprof_module *module;
	*ret_indirect = (struct cprof_alloc_indirect){ .map = map };
	struct cprof_error *err = cprof_modules_get(modules, maps, map, &module);
	if (err)
		return err;
	if (cprof_module_file_addr(module, map, resolver, &search.resolver))
		err = look_at(&search, map);
	if (!err && !search.found)
		err = look_at_others(&search);
	if (err)
		return err;
	if (!search.found || search.several) {
		ret_indirect->why_not =
			search.several ? "it is indirect, and not the same function for everybody"
				       : "it is indirect, and nobody has called it yet";
		return NULL;
	}
	ret_indirect->addr = search.found;
	ret_indirect->map = cprof_maps_find(maps, search.found);
	return find_end(&search, ret_indirect->map, &ret_indirect->end);
}
