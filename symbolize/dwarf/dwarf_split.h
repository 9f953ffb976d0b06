/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/dwarf/dwarf_split.h - the entries that -gsplit-dwarf left out of a program: its .dwo files, or a .dwp package.
 *
 * Owns where such files are looked for and the proof that one belongs here: the 64-bit id in the program and in the
 * file, never the path. A package is looked for first: one file instead of thousands. Lazy: a file is opened when an
 * address in its unit is asked for. Not libdw's own search: it opens, itself and with no hook, whatever lies at the path that the program names.
 */
#ifndef CPROF_SYMBOLIZE_DWARF_DWARF_SPLIT_H
#define CPROF_SYMBOLIZE_DWARF_DWARF_SPLIT_H

#include "symbolize/dwarf/dwarf_file.h"
#include "symbolize/dwarf/dwarf_package.h"

struct cprof_dwarf_split {
	const struct cprof_dwarf_file *program; /* borrowed */
	const char *root;         /* borrowed; the target's, "" is ours; NULL: open nothing */
	const char *program_path; /* borrowed; as the target names it */
	bool package_tried;
	struct cprof_elf *package_elf; /* owned; NULL: none */
	struct cprof_dwarf_package package;
	struct cprof_map64
		of; /* skeleton's offset -> index in parts + 1, or a mark that there is none */
	struct cprof_dwarf_part **parts; /* owned, and each of them */
	size_t n_parts, cap_parts;
};

void cprof_dwarf_split_init(struct cprof_dwarf_split *split,
			    const struct cprof_dwarf_file *program);
void cprof_dwarf_split_deinit(struct cprof_dwarf_split *split);

/* The unit with the entries of `skeleton`, borrowed; NULL where they could not be had. */
struct cprof_dwarf_unit *cprof_dwarf_split_unit(struct cprof_dwarf_split *split,
						const struct cprof_dwarf_unit *skeleton);

#endif
