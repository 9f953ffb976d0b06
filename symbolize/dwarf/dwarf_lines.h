/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/dwarf/dwarf_lines.h - the line table of one unit: address to file, line and column.
 *
 * Source of truth: DWARF 5 "Line Number Information" (and 2 to 4, whose header differs).
 */
#ifndef CPROF_SYMBOLIZE_DWARF_DWARF_LINES_H
#define CPROF_SYMBOLIZE_DWARF_DWARF_LINES_H

#include "symbolize/dwarf/dwarf_file.h"

struct cprof_line_row {
	uint64_t addr;
	uint32_t line;
	uint16_t
		file; /* as in the program: an index that depends on the version; CPROF_LINE_NO_FILE: too large to keep */
	uint16_t column;
};

#define CPROF_LINE_NO_FILE UINT16_MAX

struct cprof_dwarf_lines {
	bool broken; /* the header says something that cannot be read: there are no rows */
	struct cprof_line_row *rows; /* owned; by address within a sequence */
	size_t n_rows, cap_rows;
	struct cprof_line_sequence { /* a run of code without gaps */
		uint64_t start, end;
		uint32_t first_row, n_rows;
	} * sequences; /* owned; by start */
	size_t n_sequences, cap_sequences;
	struct cprof_line_file {
		const char *name; /* borrowed */
		uint64_t dir;
		char *path; /* owned; put together on demand */
	} * files;          /* owned */
	size_t n_files, cap_files;
	const char **dirs; /* owned array of borrowed names */
	size_t n_dirs, cap_dirs;
	uint16_t version;
};

/* The table of `unit`, as far as it can be read. *ret_lines is never NULL on success. Errors: NO_MEMORY. */
struct cprof_error *cprof_dwarf_lines_read(const struct cprof_dwarf_unit *unit,
					   struct cprof_dwarf_lines **ret_lines);
void cprof_dwarf_lines_free(struct cprof_dwarf_lines *lines);

/* The row that covers `addr`, or NULL. */
const struct cprof_line_row *cprof_dwarf_lines_find(const struct cprof_dwarf_lines *lines,
						    uint64_t addr);

/* The path of file number `file` as rows and DW_AT_call_file count; "" where unknown. Borrowed from `lines`. */
const char *cprof_dwarf_lines_path(const struct cprof_dwarf_unit *unit,
				   struct cprof_dwarf_lines *lines, uint64_t file);

#endif
