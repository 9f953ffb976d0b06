/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/names/go_table.h - functions and lines of a Go program from its .gopclntab, which survives stripping.
 *
 * Asked only where a Go program's DWARF (left out with -ldflags=-w) does not know an address: that of C code linked in may be
 * there. Knows the layouts of Go 1.16 and later;
 * functions inlined by the Go compiler are not told apart here.
 *
 * Source of truth: the Go distribution, src/runtime/symtab.go (pcHeader, _func) and src/debug/gosym.
 */
#ifndef CPROF_SYMBOLIZE_NAMES_GO_TABLE_H
#define CPROF_SYMBOLIZE_NAMES_GO_TABLE_H

#include "symbolize/dwarf/dwarf.h"
#include "symbolize/elf/elf_file.h"

struct cprof_go_table;

/* `elf` is borrowed. *ret_table NULL: no Go program, or a layout we do not know. Errors: NO_MEMORY. */
struct cprof_error *cprof_go_table_new(struct cprof_elf *elf, struct cprof_go_table **ret_table);
void cprof_go_table_free(struct cprof_go_table *table);

/* The function at `file_addr`; false where the table has none. Strings are borrowed from `elf`. */
bool cprof_go_table_find(const struct cprof_go_table *table, uint64_t file_addr,
			 struct cprof_dwarf_frame *ret_frame);

#endif
