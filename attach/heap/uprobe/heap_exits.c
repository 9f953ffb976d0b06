/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/uprobe/heap_exits.h"

#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "attach/heap/alloc/alloc_family.h"
#include "attach/heap/alloc/alloc_find.h"
#include "attach/heap/code/code_flow.h"
#include "attach/heap/code/code_known.h"

#define FUNCTIONS_MAX 64

struct search {
	const struct cprof_heap_exits_process *process;
	uint64_t functions[FUNCTIONS_MAX]; /* run-time; those before n_done are done */
	size_t n_functions, n_done;
	struct cprof_heap_exits *exits;
};

/* Where a function lies. */
struct place {
	struct cprof_module *module;
	struct cprof_code_object *object;
	uint64_t bias; /* of run-time addresses to the file's */
};

static struct cprof_error *not_known(const char *why)
{
	return cprof_error_new(CPROF_ERR_UNSUPPORTED, "where it returns is not known: %s", why);
}

static struct cprof_error *add_function(struct search *search, uint64_t addr)
{
	for (size_t i = 0; i < search->n_functions; i++) {
		if (search->functions[i] == addr)
			return NULL;
	}
	if (search->n_functions == FUNCTIONS_MAX)
		return not_known("it goes on in too many functions");
	search->functions[search->n_functions++] = addr;
	return NULL;
}

static struct cprof_error *add_exit(struct search *search, uint64_t addr,
				    enum cprof_heap_exit_kind kind)
{
	struct cprof_heap_exits *exits = search->exits;
	for (size_t i = 0; i < exits->n; i++) {
		if (exits->all[i].addr == addr)
			return NULL;
	}
	if (exits->n == CPROF_HEAP_EXITS_MAX)
		return not_known("it returns at too many places");
	exits->all[exits->n++] = (struct cprof_heap_exit){ addr, kind };
	return NULL;
}

/* ---- jumps to other objects ---- */

/* Compared without what is behind an "@". */
static bool is_named(const char *name, const char *const *list, size_t n)
{
	const size_t len = strcspn(name, "@");
	for (size_t i = 0; i < n; i++) {
		if (strlen(list[i]) == len && strncmp(list[i], name, len) == 0)
			return true;
	}
	return false;
}

static bool returns_first(const char *name)
{
	static const char *const list[] = { "memset",       "memcpy",       "memmove",
					    "__memset_chk", "__memcpy_chk", "__memmove_chk" };
	return is_named(name, list, sizeof(list) / sizeof(list[0]));
}

static bool frees(const char *name)
{
	size_t prefix;
	char plain[80];
	const size_t len = strcspn(name, "@");
	if (len >= sizeof(plain))
		return false;
	memcpy(plain, name, len);
	plain[len] = 0;
	const struct cprof_alloc_function *row = cprof_alloc_function_find(plain, &prefix);
	return row && cprof_shim_frees(row->kind);
}

/* The word that the jump at `addr` (in the file) goes through, directly or by a stub of the PLT; NULL: none. */
static const struct cprof_code_slot *slot_of(const struct cprof_code_object *object, uint64_t addr)
{
	const struct cprof_code_slot *slot = cprof_code_object_plt(object, addr);
	const uint8_t *code = cprof_code_object_bytes(object, addr, 1);
	int32_t far;
	if (slot || !code)
		return slot;
	/* bnd, notrack, a predicted branch */
	while (code && (*code == 0xf2 || *code == 0x3e || *code == 0x2e))
		code = cprof_code_object_bytes(object, ++addr, 1);
	if (code && *code == 0xeb && (code = cprof_code_object_bytes(object, addr, 2)))
		return cprof_code_object_plt(object, addr + 2 + (uint64_t)(int64_t)(int8_t)code[1]);
	if (!code || *code != 0xe9 || !(code = cprof_code_object_bytes(object, addr, 5)))
		return NULL;
	memcpy(&far, code + 1, sizeof(far));
	return cprof_code_object_plt(object, addr + 5 + (uint64_t)(int64_t)far);
}

/* Is that the part of a PLT's stub that asks the dynamic linker: push $number, perhaps behind endbr64? */
static bool is_unbound(const struct cprof_memory *memory, uint64_t addr)
{
	uint8_t code[5];
	static const uint8_t endbr64[4] = { 0xf3, 0x0f, 0x1e, 0xfa };
	if (!memory->read(memory->ctx, addr, code, sizeof(code)))
		return false;
	return code[0] == 0x68 || (memcmp(code, endbr64, sizeof(endbr64)) == 0 && code[4] == 0x68);
}

struct named {
	struct search *search;
	const char *name;
	size_t len;
	bool found;
};

static struct cprof_error *take_named(void *ctx, struct cprof_map *map, const char *name,
				      uint64_t addr, uint64_t end)
{
	struct named *named = ctx;
	(void)map, (void)end;
	if (strncmp(name, named->name, named->len) != 0 ||
	    (name[named->len] && name[named->len] != '@'))
		return NULL;
	named->found = true;
	return add_function(named->search, addr);
}

/* It is not bound yet: to which of those of that name it will be is the dynamic linker's to say. */
static struct cprof_error *add_all_named(struct search *search, const char *name)
{
	struct named named = { .search = search, .name = name };
	if (!name)
		return not_known("it goes on in another object, by a jump that is not bound yet");
	named.len = strcspn(name, "@");
	struct cprof_error *err = cprof_alloc_each_symbol(
		search->process->maps, search->process->modules, take_named, &named);
	if (!err && !named.found)
		err = not_known("it goes on in another object, by a jump that is not bound yet");
	return err;
}

static struct cprof_error *follow_slot(struct search *search, const struct place *place,
				       const struct cprof_code_slot *slot, const char *name)
{
	const struct cprof_maps *maps = search->process->maps;
	uint64_t to;
	if (!maps->memory.read(maps->memory.ctx, slot->place + place->bias, &to, sizeof(to)))
		return not_known("it goes on in another object, by a jump that cannot be read");
	const struct cprof_map *map = cprof_maps_find(maps, to);
	if (!map || !(map->prot & PROT_EXEC) || is_unbound(&maps->memory, to))
		return add_all_named(search, name);
	return add_function(search, to);
}

static struct cprof_error *follow_jump(struct search *search, const struct place *place,
				       const struct cprof_code_exit *jump)
{
	const char *name = jump->name;
	const uint64_t addr = jump->addr + place->bias;
	if (name && cprof_code_known_ends(name))
		return NULL;
	if (name && returns_first(name))
		return add_exit(search, addr, CPROF_HEAP_EXIT_FIRST);
	if (name && frees(name))
		return add_exit(search, addr, CPROF_HEAP_EXIT_NONE);
	const struct cprof_code_slot *slot = slot_of(place->object, jump->addr);
	return slot ? follow_slot(search, place, slot, name)
		    : not_known("it goes on in another object");
}

/* ---- one function ---- */

static struct cprof_error *find_place(const struct search *search, uint64_t addr,
				      struct place *ret_place, uint64_t *ret_file_addr)
{
	const struct cprof_heap_exits_process *process = search->process;
	struct cprof_map *map = cprof_maps_find(process->maps, addr);
	if (!map || !map->inode)
		return not_known("it goes on in memory that is no file");
	struct cprof_error *err =
		cprof_modules_get(process->modules, process->maps, map, &ret_place->module);
	if (!err)
		err = cprof_code_objects_get(process->objects, ret_place->module,
					     &ret_place->object);
	if (err)
		return err;
	if (!cprof_module_file_addr(ret_place->module, map, addr, ret_file_addr))
		return not_known("its file does not have it");
	ret_place->bias = addr - *ret_file_addr;
	return NULL;
}

static struct cprof_error *take_flow(struct search *search, const struct place *place,
				     const struct cprof_code_flow *flow)
{
	struct cprof_error *err = NULL;
	if (!flow->followed || flow->overlaps)
		return not_known(flow->lost ? flow->lost : "its instructions overlap");
	for (size_t i = 0; !err && i < flow->n_exits; i++) {
		const struct cprof_code_exit *exit = &flow->exits[i];
		err = exit->kind == CPROF_CODE_EXIT_RET
			      ? add_exit(search, exit->addr + place->bias, CPROF_HEAP_EXIT_RET)
			      : follow_jump(search, place, exit);
	}
	return err;
}

static struct cprof_error *explore(struct search *search, uint64_t addr)
{
	struct place place;
	struct cprof_code_flow flow;
	uint64_t file_addr;
	struct cprof_error *err = find_place(search, addr, &place, &file_addr);
	if (!err)
		err = cprof_code_flow_find(place.object, file_addr, &flow);
	if (err)
		return err;
	err = take_flow(search, &place, &flow);
	cprof_code_flow_deinit(&flow);
	return err;
}

struct cprof_error *cprof_heap_exits_find(const struct cprof_heap_exits_process *process,
					  uint64_t addr, struct cprof_heap_exits *ret_exits)
{
	struct search search = { .process = process, .exits = ret_exits };
	ret_exits->n = 0;
	struct cprof_error *err = add_function(&search, addr);
	while (!err && search.n_done < search.n_functions)
		err = explore(&search, search.functions[search.n_done++]);
	if (!err && !ret_exits->n)
		err = not_known("it does not return");
	return err;
}
