/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/code/code_import.h"

#include <string.h>

#include "symbolize/elf/elf_file.h"

#define PIECE           4096u /* relocations that are looked at together */
#define RELOCATIONS_MAX (32u << 20)

struct imports {
	struct cprof_elf *elf;
	uint64_t limit;
	cprof_code_import_fn *fn;
	void *ctx;
};

/* The name of the symbol, if it is another object's; else NULL. */
static const char *imported(const struct imports *imports, const struct cprof_section *relocations,
			    uint64_t info)
{
	const struct cprof_section *symbols = cprof_elf_section_at(imports->elf, relocations->link);
	const struct cprof_section *strings =
		symbols ? cprof_elf_section_at(imports->elf, symbols->link) : NULL;
	Elf64_Sym symbol;
	const uint8_t *bytes =
		strings ? cprof_section_at(symbols, ELF64_R_SYM(info) * sizeof(symbol),
					   sizeof(symbol))
			: NULL;
	if (!bytes)
		return NULL;
	memcpy(&symbol, bytes, sizeof(symbol));
	return symbol.st_shndx == SHN_UNDEF ? cprof_section_string(strings, symbol.st_name) : NULL;
}

static void look_at(const struct imports *imports, const struct cprof_section *relocations,
		    const Elf64_Rela *rela)
{
	const uint64_t offset = (uint64_t)rela->r_addend;
	if (ELF64_R_TYPE(rela->r_info) != R_X86_64_64 || !offset || offset >= imports->limit)
		return;
	const char *name = imported(imports, relocations, rela->r_info);
	if (name && *name)
		imports->fn(imports->ctx, name, offset);
}

static void look_at_all(const struct imports *imports, const struct cprof_section *relocations)
{
	const size_t n = relocations->size / sizeof(Elf64_Rela);
	for (size_t i = 0; i < n && i < RELOCATIONS_MAX; i += PIECE) {
		const size_t count = n - i < PIECE ? n - i : PIECE;
		const uint8_t *bytes = cprof_section_at(relocations, i * sizeof(Elf64_Rela),
							count * sizeof(Elf64_Rela));
		for (size_t k = 0; bytes && k < count; k++) {
			Elf64_Rela rela;
			memcpy(&rela, bytes + k * sizeof(rela), sizeof(rela));
			look_at(imports, relocations, &rela);
		}
	}
}

struct cprof_error *cprof_code_import_each(const struct cprof_module *module, uint64_t limit,
					   cprof_code_import_fn *fn, void *ctx)
{
	struct imports imports = { .limit = limit, .fn = fn, .ctx = ctx };
	if (!module->image)
		return NULL;
	struct cprof_error *err = cprof_elf_open(module->image, true, &imports.elf);
	if (err && err->code == CPROF_ERR_NO_MEMORY)
		return err;
	if (err) {
		cprof_error_free(err);
		return NULL;
	}
	for (size_t i = 0; imports.elf->machine == EM_X86_64 && i < imports.elf->n_sections; i++) {
		const struct cprof_section *section = &imports.elf->sections[i];
		if (section->type == SHT_RELA && (section->flags & SHF_ALLOC))
			look_at_all(&imports, section);
	}
	cprof_elf_free(imports.elf);
	return NULL;
}
