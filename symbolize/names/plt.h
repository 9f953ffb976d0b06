/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/names/plt.h - names for the procedure linkage table: "read@plt".
 *
 * Linkers give its entries no symbols, but on x86-64 each goes through a word of the GOT that a relocation
 * fills, whatever the linker; on AArch64 they stand in the order of .rela.plt. An indirect function's word (static programs
 * have many) is filled by its resolver, at whose address the function's symbol lies. Source of truth: System V psABI
 * "Procedure Linkage Table" (x86-64, AArch64), STT_GNU_IFUNC and R_*_IRELATIVE in its GNU extensions.
 */
#ifndef CPROF_SYMBOLIZE_NAMES_PLT_H
#define CPROF_SYMBOLIZE_NAMES_PLT_H

#include "symbolize/names/symbols.h"

#define CPROF_PLT_SUFFIX "@plt"

/* Add a symbol for each entry that can be told, with those of the file's tables in `symbols`, not sorted yet. *ret_names (malloc) holds their text. Errors: NO_MEMORY. */
struct cprof_error *cprof_plt_add(struct cprof_elf *elf, char **ret_names,
				  struct cprof_symbols *symbols);

#endif
