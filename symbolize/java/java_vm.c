/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/java/java_vm.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cprof/intern.h"
#include "symbolize/elf/elf_file.h"
#include "symbolize/java/method_name.h"

#define LIBRARY   "/libjvm.so"
#define SUSPENDED "[frames on the heap]"
#define NAMES_MAX (1u << 20) /* addresses and methods with a name, each; more are not named */
/* Of names and tables, whatever the budget allows: a large program has some 10 MB, and the target may write any. */
#define BYTES_MAX   (64u << 20)
#define PLACE_BYTES 32u /* of a table's entry, or beside a name */

struct cprof_java_vm {
	bool usable;    /* its tables were read */
	bool has_heaps; /* in this epoch */
	uint32_t epoch;
	struct cprof_vm_layout layout;
	struct cprof_code_cache cache;
	struct cprof_account *account; /* borrowed; of libjvm.so, NULL until it was opened */
	uint64_t bytes;                /* that what follows takes */
	bool full;                     /* of bytes: nothing is added any more */
	struct cprof_intern names;
	struct cprof_map64 by_addr;   /* code address or Method -> string id + 1 */
	struct cprof_map64 by_method; /* identity of a method -> string id + 1; 0: it has none */
	struct cprof_map64 checked;   /* Method -> the epoch in which it was looked at last */
};

static void vm_free(void *data)
{
	struct cprof_java_vm *vm = data;
	if (!vm)
		return;
	cprof_intern_deinit(&vm->names);
	cprof_map64_deinit(&vm->by_addr);
	cprof_map64_deinit(&vm->by_method);
	cprof_map64_deinit(&vm->checked);
	free(vm);
}

/* ---- the library ---- */

static bool is_library(const struct cprof_map *map)
{
	size_t len = strlen(map->path), n = strlen(LIBRARY);
	return (map->prot & PROT_EXEC) && len >= n && strcmp(map->path + len - n, LIBRARY) == 0;
}

/* Where the process has what lies at `file_addr` of a library, one of whose mappings is `map`; 0 if that cannot be told. */
static uint64_t run_time(const struct cprof_module *module, const struct cprof_map *map,
			 uint64_t file_addr)
{
	/* Its first page may begin before the segment does. */
	uint64_t middle = map->start + (map->end - map->start) / 2, middle_in_file;
	if (!cprof_module_file_addr(module, map, middle, &middle_in_file))
		return 0;
	return middle + (file_addr - middle_in_file);
}

static void take_export(const struct cprof_module *module, const struct cprof_map *map,
			const Elf64_Sym *symbol, const char *name,
			uint64_t exports[CPROF_VM_EXPORTS])
{
	for (size_t i = 0; i < CPROF_VM_EXPORTS; i++) {
		if (strcmp(name, cprof_vm_exports[i]) == 0)
			exports[i] = run_time(module, map, symbol->st_value);
	}
}

static void read_exports(struct cprof_elf *elf, const struct cprof_module *module,
			 const struct cprof_map *map, uint64_t exports[CPROF_VM_EXPORTS])
{
	const struct cprof_section *table = cprof_elf_section_of_type(elf, SHT_DYNSYM);
	const struct cprof_section *texts = table ? cprof_elf_section_at(elf, table->link) : NULL;
	Elf64_Sym symbol;
	for (uint64_t i = 0; texts && i < table->size / sizeof(symbol); i++) {
		const uint8_t *bytes = cprof_section_at(table, i * sizeof(symbol), sizeof(symbol));
		if (!bytes)
			return;
		memcpy(&symbol, bytes, sizeof(symbol));
		const char *name = symbol.st_shndx == SHN_UNDEF
					   ? NULL
					   : cprof_section_string(texts, symbol.st_name);
		if (name)
			take_export(module, map, &symbol, name, exports);
	}
}

/* Read the tables of the library in `map`; it is tried once, since they are there as soon as it is loaded. */
static void vm_learn(struct cprof_java_vm *vm, const struct cprof_maps *maps,
		     struct cprof_modules *modules, struct cprof_map *map)
{
	uint64_t exports[CPROF_VM_EXPORTS] = { 0 };
	struct cprof_module *module;
	struct cprof_elf *elf;
	struct cprof_error *err = cprof_modules_get(modules, maps, map, &module);
	if (err || !module->image) {
		cprof_error_free(err);
		return;
	}
	vm->account = module->image->account;
	err = cprof_elf_open(module->image, true, &elf);
	if (err) {
		cprof_error_free(err);
		return;
	}
	if (elf->machine == EM_X86_64)
		read_exports(elf, module, map, exports);
	cprof_elf_free(elf);
	vm->usable = cprof_vm_tables_read(&maps->memory, exports, &vm->layout);
}

static struct cprof_java_vm *vm_new(const struct cprof_maps *maps, struct cprof_modules *modules,
				    struct cprof_map *map)
{
	struct cprof_java_vm *vm = calloc(1, sizeof(*vm));
	struct cprof_error *err = vm ? cprof_intern_init(&vm->names) : NULL;
	if (!vm || err) {
		cprof_error_free(err);
		free(vm);
		return NULL;
	}
	vm->cache.layout = &vm->layout;
	vm_learn(vm, maps, modules, map);
	map->machine = vm;
	map->free_machine = vm_free;
	return vm;
}

static struct cprof_java_vm *find(const struct cprof_maps *maps, struct cprof_modules *modules,
				  uint32_t *hint)
{
	struct cprof_java_vm *vm = NULL;
	if (*hint < maps->n_all && maps->all[*hint]->live && maps->all[*hint]->machine)
		return maps->all[*hint]->machine;
	for (size_t i = 0; i < maps->n_sorted && !vm; i++) {
		struct cprof_map *map = maps->sorted[i];
		if (!is_library(map))
			continue;
		vm = map->machine ? map->machine : vm_new(maps, modules, map);
		*hint = map->id;
	}
	return vm;
}

struct cprof_java_vm *cprof_java_vm_get(const struct cprof_maps *maps,
					struct cprof_modules *modules, uint32_t epoch,
					uint32_t *hint)
{
	struct cprof_java_vm *vm = find(maps, modules, hint);
	if (!vm || !vm->usable)
		return NULL;
	if (!vm->has_heaps || vm->epoch != epoch) {
		vm->epoch = epoch;
		vm->has_heaps = cprof_code_cache_refresh(&vm->cache, &maps->memory);
	}
	return vm->has_heaps ? vm : NULL;
}

const struct cprof_java_vm *cprof_java_vm_met(const struct cprof_maps *maps)
{
	for (size_t i = maps->n_all; i-- > 0;) {
		if (maps->all[i]->machine)
			return maps->all[i]->machine;
	}
	return NULL;
}

/* ---- names ---- */

static bool pay(struct cprof_java_vm *vm, uint64_t bytes)
{
	vm->full |= bytes > BYTES_MAX - vm->bytes ||
		    !cprof_account_charge(vm->account, CPROF_BUDGET_HELD, bytes);
	vm->bytes += vm->full ? 0 : bytes;
	return !vm->full;
}

/* The name's number + 1; 0: there is no room for it. */
static uint64_t number(struct cprof_java_vm *vm, const char *name)
{
	uint32_t id, before = vm->names.len;
	if (vm->full)
		return 0;
	struct cprof_error *err = cprof_intern_text(&vm->names, name, &id);
	if (err) {
		cprof_error_free(err);
		return 0;
	}
	if (vm->names.len != before)
		pay(vm, strlen(name) + PLACE_BYTES);
	return (uint64_t)id + 1;
}

/* Where a table has `key`, which is added while there is room; NULL: it has not. */
static uint64_t *place_of(struct cprof_java_vm *vm, struct cprof_map64 *table, uint64_t key)
{
	uint64_t *known = cprof_map64_get(table, key);
	if (known || table->len >= NAMES_MAX || !pay(vm, PLACE_BYTES))
		return known;
	return cprof_map64_put(table, key, NULL);
}

static void remember(struct cprof_java_vm *vm, uint64_t addr, uint64_t name)
{
	uint64_t *place = name ? place_of(vm, &vm->by_addr, addr) : NULL;
	if (place)
		*place = name;
}

/* The number + 1 of the method's name; 0: it has none. */
static uint64_t method_number(struct cprof_java_vm *vm, const struct cprof_memory *memory,
			      uint64_t method)
{
	char name[CPROF_METHOD_NAME_MAX];
	uint64_t identity;
	if (!cprof_vm_layout_names(&vm->layout) ||
	    !cprof_method_identity(&vm->layout, memory, method, &identity))
		return 0;
	uint64_t key = cprof_hash_mix(method, identity);
	uint64_t *known = cprof_map64_get(&vm->by_method, key);
	if (known)
		return *known;
	if (vm->full || vm->by_method.len >= NAMES_MAX ||
	    !cprof_method_name(&vm->layout, memory, method, name))
		return 0;
	uint64_t result = number(vm, name), *place = place_of(vm, &vm->by_method, key);
	if (place)
		*place = result;
	return result;
}

const struct cprof_code_blob *cprof_java_vm_code(struct cprof_java_vm *vm,
						 const struct cprof_memory *memory, uint64_t addr)
{
	const struct cprof_code_blob *blob = cprof_code_cache_find(&vm->cache, memory, addr);
	if (!blob)
		return NULL;
	remember(vm, addr,
		 blob->method ? method_number(vm, memory, blob->method) : number(vm, blob->name));
	return blob;
}

uint32_t cprof_java_vm_suspended(struct cprof_java_vm *vm, const struct cprof_memory *memory,
				 uint64_t addr)
{
	uint64_t entry;
	const struct cprof_code_blob *blob = NULL;
	if (vm->layout.entry_return &&
	    memory->read(memory->ctx, vm->layout.entry_return, &entry, sizeof(entry)))
		blob = cprof_code_cache_find(&vm->cache, memory, entry);
	if (!blob || blob->kind != CPROF_CODE_COMPILED)
		return 0;
	remember(vm, addr, number(vm, SUSPENDED));
	return blob->frame_words;
}

bool cprof_java_vm_method(struct cprof_java_vm *vm, const struct cprof_memory *memory,
			  uint64_t method)
{
	const uint64_t *epoch = cprof_map64_get(&vm->checked, method);
	if (epoch && *epoch == vm->epoch)
		return true;
	uint64_t name = method_number(vm, memory, method);
	uint64_t *place = name ? place_of(vm, &vm->checked, method) : NULL;
	if (!place)
		return false;
	*place = vm->epoch;
	remember(vm, method, name);
	return true;
}

const char *cprof_java_vm_name(const struct cprof_java_vm *vm, uint64_t addr)
{
	const uint64_t *name = cprof_map64_get(&vm->by_addr, addr);
	return name ? cprof_intern_get(&vm->names, (uint32_t)(*name - 1)) : NULL;
}
