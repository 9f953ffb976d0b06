/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/elf/elf_relative.h - words that the loader fills with addresses in the file itself.
 *
 * Position-independent files hold such words as relocations; what stands in their place in the file may be zero. Told are
 * addresses as in the file, as if it were loaded at 0. Words with packed relocations (DT_RELR) hold their value in the
 * file and are not told about.
 *
 * Source of truth: ELF gABI "Relocation"; System V psABI (x86-64, AArch64) "Relocation Types".
 */
#ifndef CPROF_SYMBOLIZE_ELF_ELF_RELATIVE_H
#define CPROF_SYMBOLIZE_ELF_ELF_RELATIVE_H

#include "symbolize/elf/elf_file.h"

/* Where the reading stands; starts as { .elf = elf }. Borrows the file. */
struct cprof_elf_relative {
	struct cprof_elf *elf;
	size_t section, index;
};

/* The next such word: where it is, and what will be in it. False: that was the last, or they may cost no more. */
bool cprof_elf_relative_next(struct cprof_elf_relative *at, uint64_t *ret_place,
			     uint64_t *ret_value);

#endif
