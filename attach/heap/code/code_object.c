/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/code/code_object.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/search.h"

#define PLT_BYTES     16
#define SHT_RELR_TYPE 19 /* SHT_RELR, younger than some elf.h */
/* More than the largest programs have; what is beyond is a file made to cost time. */
#define RELOCATIONS_MAX (32u << 20)

/* ---- sections ---- */

static int by_section(const void *a_, const void *b_)
{
	const struct cprof_code_section *a = a_, *b = b_;
	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

static bool is_program(const struct cprof_section *section)
{
	switch (section->type) {
	case SHT_PROGBITS:
		return strncmp(section->name, ".eh_frame", 9) != 0 &&
		       strcmp(section->name, ".gcc_except_table") != 0;
	case SHT_INIT_ARRAY:
	case SHT_FINI_ARRAY:
	case SHT_PREINIT_ARRAY:
		return true;
	default:
		return false;
	}
}

static struct cprof_error *add_sections(struct cprof_code_object *object)
{
	const struct cprof_elf *elf = object->elf;
	for (size_t i = 0; i < elf->n_sections; i++) {
		const struct cprof_section *section = &elf->sections[i];
		if (!(section->flags & SHF_ALLOC) || section->type == SHT_NOBITS || !section->size)
			continue;
		if (!CPROF_ARRAY_ROOM(object->sections, object->n_sections, object->cap_sections,
				      1))
			return cprof_error_no_memory();
		object->sections[object->n_sections++] = (struct cprof_code_section){
			.addr = section->addr,
			.size = section->size,
			.offset = section->offset,
			.executable = (section->flags & SHF_EXECINSTR) != 0,
			.tables = !is_program(section),
		};
		if (strcmp(section->name, ".got.plt") == 0 ||
		    (!object->got && strcmp(section->name, ".got") == 0))
			object->got = section->addr;
	}
	return NULL;
}

const struct cprof_code_section *cprof_code_object_section(const struct cprof_code_object *object,
							   uint64_t addr, uint64_t n)
{
	size_t after = CPROF_SEARCH(i, object->n_sections, object->sections[i].addr <= addr);
	if (!after)
		return NULL;
	const struct cprof_code_section *section = &object->sections[after - 1];
	uint64_t offset = addr - section->addr;
	return offset < section->size && n <= section->size - offset ? section : NULL;
}

const uint8_t *cprof_code_object_bytes(const struct cprof_code_object *object, uint64_t addr,
				       uint64_t n)
{
	const struct cprof_code_section *section = cprof_code_object_section(object, addr, n);
	return section ? cprof_image_at(object->image, section->offset + (addr - section->addr), n)
		       : NULL;
}

/* ---- relocations ---- */

/* The symbol that a relocation is about; false where there is none. */
static bool symbol_of(const struct cprof_elf *elf, const struct cprof_section *relocations,
		      uint64_t info, Elf64_Sym *ret_symbol, const char **ret_name)
{
	const struct cprof_section *symbols = cprof_elf_section_at(elf, relocations->link);
	const struct cprof_section *strings =
		symbols ? cprof_elf_section_at(elf, symbols->link) : NULL;
	const uint8_t *bytes =
		symbols && ELF64_R_SYM(info)
			? cprof_section_at(symbols, ELF64_R_SYM(info) * sizeof(*ret_symbol),
					   sizeof(*ret_symbol))
			: NULL;
	if (!bytes || !strings)
		return false;
	memcpy(ret_symbol, bytes, sizeof(*ret_symbol));
	*ret_name = cprof_section_string(strings, ret_symbol->st_name);
	return true;
}

static struct cprof_error *add_slot(struct cprof_code_object *object,
				    const struct cprof_code_slot *slot)
{
	if (!CPROF_ARRAY_ROOM(object->slots, object->n_slots, object->cap_slots, 1))
		return cprof_error_no_memory();
	object->slots[object->n_slots++] = *slot;
	return NULL;
}

static struct cprof_error *add_pointer(struct cprof_code_object *object, uint64_t addr)
{
	const struct cprof_code_section *section = cprof_code_object_section(object, addr, 1);
	if (!section || !section->executable)
		return NULL;
	if (!CPROF_ARRAY_ROOM(object->pointers, object->n_pointers, object->cap_pointers, 1))
		return cprof_error_no_memory();
	object->pointers[object->n_pointers++] = addr;
	return NULL;
}

static struct cprof_error *add_relocation(struct cprof_code_object *object,
					  const struct cprof_section *relocations,
					  const Elf64_Rela *rela)
{
	Elf64_Sym symbol = { 0 };
	const char *name = NULL;
	bool named = symbol_of(object->elf, relocations, rela->r_info, &symbol, &name);
	uint64_t value = named && symbol.st_shndx != SHN_UNDEF ? symbol.st_value : 0;
	const uint64_t addend = (uint64_t)rela->r_addend;
	const struct cprof_code_section *place =
		cprof_code_object_section(object, rela->r_offset, 1);
	struct cprof_error *err;

	object->code_relocated |= place && place->executable;
	switch (ELF64_R_TYPE(rela->r_info)) {
	case R_X86_64_RELATIVE:
		return add_pointer(object, addend);
	case R_X86_64_IRELATIVE:
		return add_slot(object, &(struct cprof_code_slot){ .place = rela->r_offset,
								   .addr = addend,
								   .resolver = true });
	case R_X86_64_64:
		err = value ? add_pointer(object, value + addend) : NULL;
		return err || rela->r_addend
			       ? err
			       : add_slot(object,
					  &(struct cprof_code_slot){ .place = rela->r_offset,
								     .addr = value,
								     .name = name });
	case R_X86_64_GLOB_DAT:
	case R_X86_64_JUMP_SLOT:
		return add_slot(object, &(struct cprof_code_slot){ .place = rela->r_offset,
								   .addr = value,
								   .name = name });
	default:
		return NULL;
	}
}

static struct cprof_error *add_rela(struct cprof_code_object *object,
				    const struct cprof_section *section)
{
	size_t n = section->size / sizeof(Elf64_Rela);
	for (size_t i = 0; i < n && i < RELOCATIONS_MAX; i++) {
		Elf64_Rela rela;
		const uint8_t *bytes = cprof_section_at(section, i * sizeof(rela), sizeof(rela));
		if (!bytes)
			return NULL;
		memcpy(&rela, bytes, sizeof(rela));
		struct cprof_error *err = add_relocation(object, section, &rela);
		if (err)
			return err;
	}
	return NULL;
}

/* The word at `place` holds what it will point to, counted from the object's beginning. */
static struct cprof_error *add_relative(struct cprof_code_object *object, uint64_t place)
{
	const uint8_t *bytes = cprof_code_object_bytes(object, place, sizeof(uint64_t));
	uint64_t addr;
	if (!bytes)
		return NULL;
	memcpy(&addr, bytes, sizeof(addr));
	return add_pointer(object, addr);
}

/* ELF gABI "SHT_RELR": an even entry is a place, an odd one the bits of the 63 words that follow the last one. */
static struct cprof_error *add_relr(struct cprof_code_object *object,
				    const struct cprof_section *section)
{
	struct cprof_error *err = NULL;
	uint64_t place = 0;
	for (size_t i = 0; !err && i < section->size / sizeof(Elf64_Xword); i++) {
		const uint8_t *bytes =
			cprof_section_at(section, i * sizeof(Elf64_Xword), sizeof(Elf64_Xword));
		uint64_t entry;
		if (!bytes)
			return NULL;
		memcpy(&entry, bytes, sizeof(entry));
		if (!(entry & 1)) {
			err = add_relative(object, entry);
			place = entry + sizeof(uint64_t);
			continue;
		}
		for (unsigned bit = 1; !err && bit < 64; bit++) {
			if (entry >> bit & 1)
				err = add_relative(object, place + (bit - 1) * sizeof(uint64_t));
		}
		place += 63 * sizeof(uint64_t);
	}
	return err;
}

static struct cprof_error *add_relocations(struct cprof_code_object *object)
{
	for (size_t i = 0; i < object->elf->n_sections; i++) {
		const struct cprof_section *section = &object->elf->sections[i];
		struct cprof_error *err = NULL;
		if (!(section->flags & SHF_ALLOC))
			continue;
		if (section->type == SHT_RELA)
			err = add_rela(object, section);
		else if (section->type == SHT_RELR_TYPE)
			err = add_relr(object, section);
		if (err)
			return err;
	}
	return NULL;
}

static int by_place(const void *a_, const void *b_)
{
	const struct cprof_code_slot *a = a_, *b = b_;
	return a->place < b->place ? -1 : a->place > b->place;
}

static int by_number(const void *a_, const void *b_)
{
	const uint64_t *a = a_, *b = b_;
	return *a < *b ? -1 : *a > *b;
}

void cprof_code_object_sort(struct cprof_code_object *object)
{
	if (object->n_sections)
		qsort(object->sections, object->n_sections, sizeof(*object->sections), by_section);
	if (object->n_slots)
		qsort(object->slots, object->n_slots, sizeof(*object->slots), by_place);
	if (object->n_pointers)
		qsort(object->pointers, object->n_pointers, sizeof(*object->pointers), by_number);
}

const struct cprof_code_slot *cprof_code_object_slot(const struct cprof_code_object *object,
						     uint64_t place)
{
	size_t at = CPROF_SEARCH(i, object->n_slots, object->slots[i].place < place);
	return at < object->n_slots && object->slots[at].place == place ? &object->slots[at] : NULL;
}

const struct cprof_code_slot *cprof_code_object_plt(const struct cprof_code_object *object,
						    uint64_t addr)
{
	const uint8_t *code = cprof_code_object_bytes(object, addr, PLT_BYTES);
	int32_t distance;
	size_t at = 0;
	if (!code)
		code = cprof_code_object_bytes(object, addr, 8); /* the last of .plt.got */
	if (!code)
		return NULL;
	if (memcmp(code, "\xf3\x0f\x1e\xfa", 4) == 0)
		at = 4;
	else if (code[0] != 0xf2 && code[0] != 0xff)
		return NULL;
	at += code[at] == 0xf2; /* bnd */
	if (code[at] != 0xff || code[at + 1] != 0x25)
		return NULL;
	memcpy(&distance, code + at + 2, sizeof(distance));
	return cprof_code_object_slot(object, addr + at + 6 + (uint64_t)(int64_t)distance);
}

/* ---- functions ---- */

struct cprof_error *cprof_code_object_symbols(struct cprof_code_object *object,
					      const struct cprof_symbols **ret_symbols)
{
	static const uint32_t types[] = { SHT_DYNSYM, SHT_SYMTAB };
	for (size_t i = 0; object->elf && !object->has_symbols && i < 2; i++) {
		const struct cprof_section *table =
			cprof_elf_section_of_type(object->elf, types[i]);
		struct cprof_error *err =
			table ? cprof_symbols_add_table(&object->symbols, object->elf, table, NULL)
			      : NULL;
		if (err)
			return err;
	}
	if (!object->has_symbols) {
		struct cprof_error *err = cprof_symbols_sort(&object->symbols);
		if (err)
			return err;
	}
	object->has_symbols = true;
	*ret_symbols = &object->symbols;
	return NULL;
}

bool cprof_code_object_function(struct cprof_code_object *object, uint64_t addr,
				uint64_t *ret_start, uint64_t *ret_end)
{
	struct cprof_cfi_fde fde;
	if (object->cfi && cprof_cfi_find(object->cfi, addr, &fde)) {
		*ret_start = fde.start;
		*ret_end = fde.end;
		return true;
	}
	const struct cprof_symbols *symbols;
	struct cprof_error *err = cprof_code_object_symbols(object, &symbols);
	if (err) {
		cprof_error_free(err);
		return false;
	}
	const struct cprof_symbol *symbol = cprof_symbols_find(symbols, addr);
	if (!symbol)
		return false;
	*ret_start = symbol->start;
	*ret_end = symbol->end;
	return true;
}

/* ---- opening ---- */

/* Does it ask for other objects (DT_NEEDED), or for a program that would load them? */
static bool is_self_contained(struct cprof_elf *elf)
{
	const struct cprof_section *dynamic = cprof_elf_section_of_type(elf, SHT_DYNAMIC);
	size_t n = dynamic ? dynamic->size / sizeof(Elf64_Dyn) : 0;
	for (size_t i = 0; i < n; i++) {
		Elf64_Dyn entry;
		const uint8_t *bytes = cprof_section_at(dynamic, i * sizeof(entry), sizeof(entry));
		if (!bytes)
			return false;
		memcpy(&entry, bytes, sizeof(entry));
		if (entry.d_tag == DT_NEEDED)
			return false;
	}
	return !cprof_elf_has_section(elf, ".interp");
}

static struct cprof_error *fill(struct cprof_code_object *object, struct cprof_module *module)
{
	struct cprof_error *err = cprof_elf_open(module->image, true, &object->elf);
	if (err)
		return err;
	if (object->elf->machine != EM_X86_64)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED, "its code is for another CPU");
	err = add_sections(object);
	if (err)
		return err;
	if (!object->n_sections)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED, "its file has no section table");
	cprof_code_object_sort(object);
	err = add_relocations(object);
	if (!err)
		err = cprof_cfi_get(module, &object->cfi);
	if (err)
		return err;
	object->self_contained = is_self_contained(object->elf);
	cprof_code_object_sort(object);
	return NULL;
}

struct cprof_error *cprof_code_object_new(struct cprof_module *module,
					  struct cprof_code_object **ret_object)
{
	if (!module->image)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED, "its file cannot be read");
	struct cprof_code_object *object = calloc(1, sizeof(*object));
	if (!object)
		return cprof_error_no_memory();
	object->image = module->image;
	struct cprof_error *err = fill(object, module);
	if (err) {
		cprof_code_object_free(object);
		return err;
	}
	*ret_object = object;
	return NULL;
}

void cprof_code_object_free(struct cprof_code_object *object)
{
	if (!object)
		return;
	cprof_symbols_deinit(&object->symbols);
	cprof_elf_free(object->elf);
	free(object->sections);
	free(object->slots);
	free(object->pointers);
	free(object);
}

/* ---- all of a process ---- */

struct cprof_error *cprof_code_objects_get(struct cprof_code_objects *objects,
					   struct cprof_module *module,
					   struct cprof_code_object **ret_object)
{
	for (size_t i = 0; i < objects->n; i++) {
		if (objects->all[i].module == module) {
			*ret_object = objects->all[i].object;
			return NULL;
		}
	}
	if (!CPROF_ARRAY_ROOM(objects->all, objects->n, objects->cap, 1))
		return cprof_error_no_memory();
	struct cprof_code_object *object;
	struct cprof_error *err = cprof_code_object_new(module, &object);
	if (err)
		return err;
	objects->all[objects->n++] = (struct cprof_code_opened){ module, object };
	*ret_object = object;
	return NULL;
}

void cprof_code_objects_deinit(struct cprof_code_objects *objects)
{
	for (size_t i = 0; i < objects->n; i++)
		cprof_code_object_free(objects->all[i].object);
	free(objects->all);
	*objects = (struct cprof_code_objects){ 0 };
}
