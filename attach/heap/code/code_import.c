/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/code/code_import.h"

#include <string.h>

#include "symbolize/elf/elf_relocations.h"

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

static void look_at(void *ctx, const struct cprof_section *relocations, const Elf64_Rela *rela)
{
	const struct imports *imports = ctx;
	const uint64_t offset = (uint64_t)rela->r_addend;
	if (ELF64_R_TYPE(rela->r_info) != R_X86_64_64 || !offset || offset >= imports->limit)
		return;
	const char *name = imported(imports, relocations, rela->r_info);
	if (name && *name)
		imports->fn(imports->ctx, name, offset);
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
	if (imports.elf->machine == EM_X86_64)
		cprof_elf_relocations_each(imports.elf, RELOCATIONS_MAX, look_at, &imports);
	cprof_elf_free(imports.elf);
	return NULL;
}
