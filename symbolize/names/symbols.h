/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/names/symbols.h - the functions of an ELF file's symbol tables, sorted by address.
 *
 * Owns the rules which of several symbols names an address: one with a size that covers it, the innermost of
 * nested ones; at the same address a function over a bare label, global over local over weak, fewer leading
 * underscores; last the spelling, so that the answer never depends on the order in the file. A symbol without
 * size (hand-written assembly) reaches to the next symbol or the end of its section.
 *
 * Source of truth: ELF gABI "Symbol Table".
 */
#ifndef CPROF_SYMBOLIZE_NAMES_SYMBOLS_H
#define CPROF_SYMBOLIZE_NAMES_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"
#include "symbolize/elf/elf_file.h"

struct cprof_symbol {
	uint64_t start, end; /* file addresses; [start, end) */
	const char *name;    /* borrowed from the ELF file, or from whoever added it */
	uint8_t rank;        /* higher wins at the same address */
	bool indirect;       /* STT_GNU_IFUNC: it is its resolver that lies there */
};

/* In `rank`: it says that it is a function, not only a place. */
#define CPROF_SYMBOL_FUNCTION 0x20
/* In `rank`: it says where it ends. */
#define CPROF_SYMBOL_SIZED 0x40

struct cprof_symbols {
	struct cprof_symbol *all; /* owned; by start, ends increasing within equal starts */
	uint64_t *reach;          /* owned; the largest end of all[0..i] */
	size_t n, cap;
	bool sorted;
};

void cprof_symbols_deinit(struct cprof_symbols *symbols);

/* Add one; cprof_symbols_sort() before the next look-up. `name` is borrowed. */
struct cprof_error *cprof_symbols_add(struct cprof_symbols *symbols,
				      const struct cprof_symbol *symbol);

/*
 * Add the functions of `table` (SHT_SYMTAB or SHT_DYNSYM) of `elf`, which must outlive the symbols. Broken
 * entries are left out. ret_added may be NULL. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_symbols_add_table(struct cprof_symbols *symbols, struct cprof_elf *elf,
					    const struct cprof_section *table, size_t *ret_added);

/* Is `a` what users call a function rather than `b`, which means the same? By underscores first: libraries' own aliases have some. */
bool cprof_symbol_is_plainer(const struct cprof_symbol *a, const struct cprof_symbol *b);

/* Sort, drop what loses at the same address, and give symbols without size an end. */
struct cprof_error *cprof_symbols_sort(struct cprof_symbols *symbols);

/* The symbol that covers `file_addr`, or NULL. */
const struct cprof_symbol *cprof_symbols_find(const struct cprof_symbols *symbols,
					      uint64_t file_addr);

#endif
