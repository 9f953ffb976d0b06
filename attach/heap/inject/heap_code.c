/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/heap_code.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "attach/heap/code/code_flow.h"
#include "attach/heap/code/code_import.h"
#include "attach/heap/code/code_object.h"
#include "base/array.h"

/* One object with functions that are to be patched. */
struct searched {
	struct cprof_module *module;      /* borrowed */
	struct cprof_code_object *object; /* borrowed from `objects`; NULL: see `why` */
	struct cprof_code_reaches reaches;
	char why[160];
};

/* A name that another object may know a function by, and the least that one adds to it. */
struct exported {
	const char *name; /* borrowed from the hook or the file */
	uint64_t addr;    /* run-time */
	uint64_t offset;  /* 0: nobody adds anything */
};

struct cprof_heap_code {
	struct exported *exported; /* owned */
	size_t n_exported, cap_exported;
	struct cprof_code_objects objects;
	struct searched *all; /* owned */
	size_t n, cap;
};

/* ---- searching ---- */

/* The object that `hook` lies in, or NULL. */
static struct searched *find(const struct cprof_heap_code *code, const struct cprof_heap_hook *hook)
{
	const struct cprof_module *module = hook->entry.map->module;
	for (size_t i = 0; i < code->n; i++) {
		if (module && code->all[i].module == module)
			return &code->all[i];
	}
	return NULL;
}

static bool file_addr(const struct cprof_heap_hook *hook, uint64_t addr, uint64_t *ret_addr)
{
	const struct cprof_map *map = hook->entry.map;
	return map->module && cprof_module_file_addr(map->module, map, addr, ret_addr);
}

/* An object that cannot be judged has no functions to be patched; that is no failure. */
static struct cprof_error *give_up(struct searched *searched, struct cprof_error *err)
{
	if (!err || err->code == CPROF_ERR_NO_MEMORY)
		return err;
	snprintf(searched->why, sizeof(searched->why), "%s", err->message);
	searched->object = NULL;
	cprof_error_free(err);
	return NULL;
}

static struct cprof_error *search(struct searched *searched, const struct cprof_heap_hooks *hooks,
				  size_t from)
{
	size_t n = 0;
	struct cprof_code_place *places = malloc((hooks->n - from) * sizeof(*places));
	if (!places)
		return cprof_error_no_memory();
	for (size_t i = from; i < hooks->n; i++) {
		const struct cprof_heap_hook *hook = &hooks->all[i];
		uint64_t addr;
		if (hook->state == CPROF_HEAP_HOOK_PLANNED &&
		    hook->entry.map->module == searched->module &&
		    file_addr(hook, hook->entry.addr, &addr))
			places[n++] =
				(struct cprof_code_place){ addr, addr + CPROF_HEAP_CODE_BYTES };
	}
	struct cprof_error *err =
		cprof_code_reaches_find(searched->object, places, n, &searched->reaches);
	free(places);
	return give_up(searched, err);
}

static struct cprof_error *add(struct cprof_heap_code *code, const struct cprof_heap_hooks *hooks,
			       size_t from, const struct cprof_heap_hook *hook)
{
	struct cprof_module *module;
	struct cprof_error *err =
		cprof_modules_get(hooks->modules, hooks->maps, hook->entry.map, &module);
	if (err || find(code, hook))
		return err;
	if (!CPROF_ARRAY_ROOM(code->all, code->n, code->cap, 1))
		return cprof_error_no_memory();
	struct searched *searched = &code->all[code->n];
	*searched = (struct searched){ .module = module };
	err = give_up(searched, cprof_code_objects_get(&code->objects, module, &searched->object));
	if (err)
		return err;
	code->n++;
	return searched->object ? search(searched, hooks, from) : NULL;
}

/* ---- other objects ---- */

static struct cprof_error *export(struct cprof_heap_code *code, const char *name, uint64_t addr)
{
	if (!CPROF_ARRAY_ROOM(code->exported, code->n_exported, code->cap_exported, 1))
		return cprof_error_no_memory();
	code->exported[code->n_exported++] = (struct exported){ .name = name, .addr = addr };
	return NULL;
}

/* All names of `hook` that its object exports. */
static struct cprof_error *export_all(struct cprof_heap_code *code,
				      const struct cprof_heap_hook *hook)
{
	uint64_t addr;
	const struct searched *searched = find(code, hook);
	struct cprof_elf *elf = searched && searched->object ? searched->object->elf : NULL;
	const struct cprof_section *table = elf ? cprof_elf_section_of_type(elf, SHT_DYNSYM) : NULL;
	const struct cprof_section *names = table ? cprof_elf_section_at(elf, table->link) : NULL;
	const size_t n = names ? table->size / sizeof(Elf64_Sym) : 0;
	const uint8_t *bytes = names ? cprof_section_at(table, 0, n * sizeof(Elf64_Sym)) : NULL;
	struct cprof_error *err = NULL;
	if (!bytes || !file_addr(hook, hook->entry.addr, &addr))
		return NULL;
	for (size_t i = 0; !err && i < n; i++) {
		Elf64_Sym symbol;
		memcpy(&symbol, bytes + i * sizeof(symbol), sizeof(symbol));
		const char *name = symbol.st_value == addr && symbol.st_shndx != SHN_UNDEF
					   ? cprof_section_string(names, symbol.st_name)
					   : NULL;
		if (name)
			err = export(code, name, hook->entry.addr);
	}
	return err;
}

static void found_import(void *ctx, const char *name, uint64_t offset)
{
	const struct cprof_heap_code *code = ctx;
	for (size_t i = 0; i < code->n_exported; i++) {
		struct exported *one = &code->exported[i];
		if (strcmp(one->name, name) == 0 && (!one->offset || offset < one->offset))
			one->offset = offset;
	}
}

/* Whether an object adds something to the address of a function that is to be patched. */
static struct cprof_error *look_at_others(struct cprof_heap_code *code,
					  const struct cprof_heap_hooks *hooks, size_t from)
{
	const struct cprof_maps *maps = hooks->maps;
	struct cprof_error *err = NULL;
	for (size_t i = from; !err && i < hooks->n; i++) {
		if (hooks->all[i].state == CPROF_HEAP_HOOK_PLANNED)
			err = export_all(code, &hooks->all[i]);
	}
	for (size_t i = 0; !err && code->n_exported && i < maps->n_sorted; i++) {
		struct cprof_module *module;
		if (!(maps->sorted[i]->prot & PROT_EXEC) || !maps->sorted[i]->inode)
			continue;
		err = cprof_modules_get(hooks->modules, maps, maps->sorted[i], &module);
		if (!err)
			err = cprof_code_import_each(module, CPROF_HEAP_CODE_BYTES, found_import,
						     code);
	}
	return err;
}

static uint64_t import_of(const struct cprof_heap_code *code, const struct cprof_heap_hook *hook)
{
	uint64_t least = 0;
	for (size_t i = 0; i < code->n_exported; i++) {
		const struct exported *one = &code->exported[i];
		if (one->addr == hook->entry.addr && one->offset && (!least || one->offset < least))
			least = one->offset;
	}
	return least;
}

/* ---- all of it ---- */

struct cprof_error *cprof_heap_code_new(const struct cprof_heap_hooks *hooks, size_t from,
					struct cprof_heap_code **ret_code)
{
	struct cprof_heap_code *code = calloc(1, sizeof(*code));
	struct cprof_error *err = code ? NULL : cprof_error_no_memory();
	for (size_t i = from; !err && i < hooks->n; i++) {
		if (hooks->all[i].state == CPROF_HEAP_HOOK_PLANNED)
			err = add(code, hooks, from, &hooks->all[i]);
	}
	if (!err)
		err = look_at_others(code, hooks, from);
	if (err)
		cprof_heap_code_free(code);
	else
		*ret_code = code;
	return err;
}

void cprof_heap_code_free(struct cprof_heap_code *code)
{
	if (!code)
		return;
	for (size_t i = 0; i < code->n; i++)
		cprof_code_reaches_deinit(&code->all[i].reaches);
	free(code->all);
	free(code->exported);
	cprof_code_objects_deinit(&code->objects);
	free(code);
}

/* ---- asking ---- */

struct cprof_code_object *cprof_heap_code_object(const struct cprof_heap_code *code,
						 const struct cprof_heap_hook *hook,
						 uint64_t *ret_addr, const char **ret_why)
{
	const struct searched *searched = find(code, hook);
	*ret_why = "it lies in no file";
	if (!searched || !file_addr(hook, hook->entry.addr, ret_addr))
		return NULL;
	*ret_why = searched->why;
	return searched->object;
}

static bool reads_scratch(struct cprof_code_object *object, uint64_t addr)
{
	struct cprof_code_flow flow;
	struct cprof_error *err = cprof_code_flow_find(object, addr, &flow);
	if (err) {
		cprof_error_free(err);
		return true;
	}
	const bool reads = flow.reads_scratch;
	cprof_code_flow_deinit(&flow);
	return reads;
}

bool cprof_heap_code_is_called(const struct cprof_heap_code *code,
			       const struct cprof_heap_hook *hook)
{
	uint64_t addr;
	const struct searched *searched = find(code, hook);
	if (!searched || !searched->object || !file_addr(hook, hook->entry.addr, &addr))
		return true;
	return cprof_code_reaches_call(&searched->reaches, addr, addr + CPROF_PATCH_JUMP) ||
	       reads_scratch(searched->object, addr);
}

static const char *answer(struct cprof_heap_code_question *question,
			  const struct cprof_code_reach *reach, uint64_t start)
{
	snprintf(question->why, sizeof(question->why),
		 "%s leads into its first instructions, to byte %llu",
		 cprof_code_way_name(reach->way), (unsigned long long)(reach->to - start));
	return question->why;
}

/*
 * From within the function (or a part of it that lies elsewhere, which nothing tells from another function) to its
 * beginning: that would be taken for a call. A call of it by itself is one.
 */
static const struct cprof_code_reach *comes_back(const struct searched *searched, uint64_t start,
						 uint64_t end)
{
	for (size_t i = 0; i < searched->reaches.n; i++) {
		const struct cprof_code_reach *reach = &searched->reaches.all[i];
		if (reach->to == start && reach->way == CPROF_CODE_WAY_JUMP &&
		    reach->from >= start && reach->from < end)
			return reach;
	}
	return NULL;
}

const char *cprof_heap_code_why_not(void *ctx, uint64_t end)
{
	struct cprof_heap_code_question *question = ctx;
	const struct cprof_heap_hook *hook = question->hook;
	const struct searched *searched = find(question->code, hook);
	const struct cprof_code_reach *reach;
	uint64_t start;
	if (!searched || !searched->object || !file_addr(hook, hook->entry.addr, &start)) {
		snprintf(question->why, sizeof(question->why),
			 "whether anything leads into its first instructions cannot be seen: %s",
			 searched ? searched->why : "it lies in no file");
		return question->why;
	}
	if (searched->object->code_relocated)
		return "the code of its object is changed when it is loaded";
	question->err = cprof_code_reaches_in(&searched->reaches, start + 1,
					      start + (end - hook->entry.addr), &reach);
	if (question->err)
		return "out of memory";
	if (reach)
		return answer(question, reach, start);
	const uint64_t import = import_of(question->code, hook);
	if (import && import < end - hook->entry.addr) {
		snprintf(question->why, sizeof(question->why),
			 "another object has a pointer into its first instructions, to byte %llu",
			 (unsigned long long)import);
		return question->why;
	}
	if (comes_back(searched, start, start + (hook->entry.end - hook->entry.addr)))
		return "it jumps back to its own beginning";
	return NULL;
}

bool cprof_heap_code_is_original(const struct cprof_heap_code *code,
				 const struct cprof_heap_hook *hook, uint64_t addr,
				 const uint8_t *bytes, size_t n)
{
	uint64_t in_file;
	const struct searched *searched = find(code, hook);
	const uint8_t *original = searched && searched->object && file_addr(hook, addr, &in_file)
					  ? cprof_code_object_bytes(searched->object, in_file, n)
					  : NULL;
	return original && memcmp(original, bytes, n) == 0;
}
