/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/disasm_listing.h - the instructions that disasm shows: of functions that match, each with what it weighs.
 *
 * Functions and their instructions are told to a sink, in the order of programs, names and addresses.
 */
#ifndef CPROF_CONVERT_OUTPUT_DISASM_LISTING_H
#define CPROF_CONVERT_OUTPUT_DISASM_LISTING_H

#include <stdint.h>

#include "convert/report/report.h"
#include "cprof/error.h"

/* Borrowed for the call. `function`, `file` (without its directories) and `line` are the instruction's own, or the samples'. */
struct cprof_disasm_line {
	uint64_t file_addr;
	int64_t flat, cum;
	const char *text, *function, *file;
	int64_t line;
};

struct cprof_disasm_sink {
	uint32_t most; /* functions behind these come without instructions; 0: there are none */
	void (*routine)(void *ctx, const char *name, int64_t flat, int64_t cum);
	void (*line)(void *ctx, const struct cprof_disasm_line *line);
	void *ctx;
};

/*
 * The report's format has to have CPROF_FORMAT_ADDRESSES and CPROF_FORMAT_OBJECTS, and a parameter. Errors: BAD_DATA (nothing
 * matches), and why the program could not be read where none could.
 */
struct cprof_error *cprof_disasm_listing_walk(struct cprof_report *report,
					      const struct cprof_disasm_sink *sink);

#endif
