/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/dwarf/dwarf.h - what debug information says about an address: functions, inlined calls, lines.
 *
 * Owns the reading of one ELF file's DWARF (2 to 5). Lazy: the table of units is made on the first question, a
 * unit is read when an address in it is asked for. A broken unit costs that unit.
 *
 * Source of truth: DWARF Debugging Information Format, versions 2 to 5.
 */
#ifndef CPROF_SYMBOLIZE_DWARF_DWARF_H
#define CPROF_SYMBOLIZE_DWARF_DWARF_H

#include "cprof/error.h"
#include "symbolize/elf/elf_file.h"

/* One frame at an address; strings are borrowed from the DWARF and "" where unknown, numbers 0. */
struct cprof_dwarf_frame {
	const char *name;
	const char *linkage_name;
	const char *file;
	uint32_t line, column, start_line;
};

struct cprof_dwarf;

/* `elf` and `alt` (dwz's common parts, may be NULL) are borrowed. *ret_dwarf NULL: no debug information in it. */
struct cprof_error *cprof_dwarf_new(struct cprof_elf *elf, struct cprof_elf *alt,
				    struct cprof_dwarf **ret_dwarf);
void cprof_dwarf_free(struct cprof_dwarf *dwarf);

/*
 * Where .dwo and .dwp files may be opened: below `root` ("" is ours), the package beside `program_path`. Both are
 * borrowed. Without this call none is.
 */
void cprof_dwarf_look_in(struct cprof_dwarf *dwarf, const char *root, const char *program_path);

/*
 * The frames at `file_addr`, innermost inlined call first; at most `cap`. 0: nothing known. The last one may
 * have no name (only lines were kept).
 */
size_t cprof_dwarf_frames(struct cprof_dwarf *dwarf, uint64_t file_addr,
			  struct cprof_dwarf_frame *frames, size_t cap);

/*
 * Whether the last answer lacks something that is there in a form which this reader does not know: a unit, an entry or a table that it could not
 * read. Not what is over the file's budget.
 */
bool cprof_dwarf_lacks(const struct cprof_dwarf *dwarf);

/*
 * For many addresses of a large file: asked unit by unit, and what a unit took forgotten behind it, they take no more memory than a few units.
 * Large is a file of which that is worth it. The unit of an address is a number to sort by.
 */
bool cprof_dwarf_is_large(const struct cprof_dwarf *dwarf);
uint64_t cprof_dwarf_unit_of(struct cprof_dwarf *dwarf, uint64_t file_addr);

/* All frames given so far are gone from now on, and units before `unit` are not expected to be asked again. */
void cprof_dwarf_forget(struct cprof_dwarf *dwarf, uint64_t unit);

/* Whether an answer so far came from a unit whose .dwo file, or part of a .dwp, could not be had: inlined calls are missing. */
bool cprof_dwarf_met_split(const struct cprof_dwarf *dwarf);

/* Whether any answer came from such a file or part. */
bool cprof_dwarf_used_split(const struct cprof_dwarf *dwarf);

/* Whether there are units whose entries are in .dwo files or a .dwp that could not be read. */
bool cprof_dwarf_missing_split(struct cprof_dwarf *dwarf);

#endif
