/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/elf/elf_relative.h"

#include <elf.h>
#include <string.h>

#define STEPS_PAID 1024u /* for so many at once */

/* The value of symbol `index` of the table that belongs to `relocations`; false where it is defined elsewhere. */
static bool symbol_value(const struct cprof_elf *elf, const struct cprof_section *relocations,
			 uint64_t index, uint64_t *ret_value)
{
	const struct cprof_section *symbols = cprof_elf_section_at(elf, relocations->link);
	Elf64_Sym sym;
	const uint8_t *bytes =
		symbols ? cprof_section_at(symbols, index * sizeof(sym), sizeof(sym)) : NULL;
	if (!bytes)
		return false;
	memcpy(&sym, bytes, sizeof(sym));
	*ret_value = sym.st_value;
	return sym.st_shndx != SHN_UNDEF && sym.st_shndx != SHN_ABS;
}

static bool value_of(const struct cprof_elf *elf, const struct cprof_section *relocations,
		     const Elf64_Rela *rela, uint64_t *ret_value)
{
	const bool arm = elf->machine == EM_AARCH64;
	const uint64_t relative = arm ? R_AARCH64_RELATIVE : R_X86_64_RELATIVE;
	const uint64_t absolute = arm ? R_AARCH64_ABS64 : R_X86_64_64;
	uint64_t type = ELF64_R_TYPE(rela->r_info), base = 0;
	if (type != relative &&
	    (type != absolute || !symbol_value(elf, relocations, ELF64_R_SYM(rela->r_info), &base)))
		return false;
	*ret_value = base + (uint64_t)rela->r_addend;
	return true;
}

bool cprof_elf_relative_next(struct cprof_elf_relative *at, uint64_t *ret_place,
			     uint64_t *ret_value)
{
	struct cprof_elf *elf = at->elf;
	for (; at->section < elf->n_sections; at->section++, at->index = 0) {
		const struct cprof_section *section = &elf->sections[at->section];
		const uint8_t *bytes;
		Elf64_Rela rela;
		if (section->type != SHT_RELA || !(section->flags & SHF_ALLOC))
			continue;
		while ((bytes = cprof_section_at(section, at->index * sizeof(rela),
						 sizeof(rela)))) {
			if (at->index++ % STEPS_PAID == 0 &&
			    !cprof_account_charge(elf->image->account, CPROF_BUDGET_STEPS,
						  STEPS_PAID))
				return false;
			memcpy(&rela, bytes, sizeof(rela));
			if (!value_of(elf, section, &rela, ret_value))
				continue;
			*ret_place = rela.r_offset;
			return true;
		}
	}
	return false;
}
