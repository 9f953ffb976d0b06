/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/elf/elf_relocations.h - the relocations that the loader of a file carries out, one after the other.
 *
 * What they mean is the caller's to know. Source of truth: ELF gABI "Relocation".
 */
#ifndef CPROF_SYMBOLIZE_ELF_ELF_RELOCATIONS_H
#define CPROF_SYMBOLIZE_ELF_ELF_RELOCATIONS_H

#include <elf.h>
#include <stddef.h>

#include "symbolize/elf/elf_file.h"

/* `section` is where it stands: its link is the table of its symbols. */
typedef void cprof_elf_relocation_fn(void *ctx, const struct cprof_section *section,
				     const Elf64_Rela *rela);

/* At most the first `most` of each section; what cannot be read is left out. */
void cprof_elf_relocations_each(const struct cprof_elf *elf, size_t most,
				cprof_elf_relocation_fn *fn, void *ctx);

#endif
