/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/elf/elf_relocations.h"

#include <string.h>

#define PIECE 4096u /* that are read together */

static void each_of(const struct cprof_section *section, size_t most, cprof_elf_relocation_fn *fn,
		    void *ctx)
{
	const size_t all = section->size / sizeof(Elf64_Rela), n = all < most ? all : most;
	for (size_t i = 0; i < n; i += PIECE) {
		const size_t count = n - i < PIECE ? n - i : PIECE;
		const uint8_t *bytes = cprof_section_at(section, i * sizeof(Elf64_Rela),
							count * sizeof(Elf64_Rela));
		for (size_t k = 0; bytes && k < count; k++) {
			Elf64_Rela rela;
			memcpy(&rela, bytes + k * sizeof(rela), sizeof(rela));
			fn(ctx, section, &rela);
		}
	}
}

void cprof_elf_relocations_each(const struct cprof_elf *elf, size_t most,
				cprof_elf_relocation_fn *fn, void *ctx)
{
	for (size_t i = 0; i < elf->n_sections; i++) {
		const struct cprof_section *section = &elf->sections[i];
		if (section->type == SHT_RELA && (section->flags & SHF_ALLOC))
			each_of(section, most, fn, ctx);
	}
}
