/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/dwarf/dwarf_package.h - a .dwp file: the .dwo files of a whole program in one, with an index by their ids.
 *
 * Owns the index and cutting out of the package's sections what came from one .dwo file. What is in there reads
 * like that file itself: dwarf_split.h does so. libdw 0.188 knows no packages.
 *
 * Source of truth: DWARF 5 "DWARF Package Files"; before it GCC's wiki page "DebugFissionDWP" (version 2).
 */
#ifndef CPROF_SYMBOLIZE_DWARF_DWARF_PACKAGE_H
#define CPROF_SYMBOLIZE_DWARF_DWARF_PACKAGE_H

#include "symbolize/elf/elf_file.h"

/* What one .dwo file contributed; `size` 0: nothing. */
struct cprof_dwarf_slices {
	struct cprof_section info, abbrev, str_offsets, rnglists;
};

struct cprof_dwarf_package {
	struct cprof_elf *elf;       /* borrowed */
	struct cprof_section *index; /* borrowed from elf; .debug_cu_index */
	uint32_t version, n_columns, n_units, n_slots;
};

/* False: `elf` has no index of units, or one that makes no sense. */
bool cprof_dwarf_package_init(struct cprof_dwarf_package *package, struct cprof_elf *elf);

/* The parts of the unit with this id; false: it is not in the package, or its row lies. */
bool cprof_dwarf_package_find(const struct cprof_dwarf_package *package, uint64_t dwo_id,
			      struct cprof_dwarf_slices *ret_slices);

#endif
