/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/object_file.h - what binutils know of a program: its functions, and their instructions.
 *
 * nm and objdump are run and their text is read: they know every CPU and every oddity of ELF, and reports that
 * disassemble are rare. Addresses in a profile are run-time ones; this file turns them into the program's own.
 */
#ifndef CPROF_CONVERT_OUTPUT_OBJECT_FILE_H
#define CPROF_CONVERT_OUTPUT_OBJECT_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "convert/report/regex.h"
#include "cprof/error.h"
#include "cprof/profile.h"

struct cprof_object_file;

/*
 * The program behind a mapping: $PPROF_BINARY_PATH (default ~/pprof/binaries) is looked through for its build id and name, then
 * its own path. `tools` is where binutils are (':'-separated directories; "" is $PPROF_TOOLS, then PATH).
 * Errors: what was looked for, and why it cannot be read.
 */
struct cprof_error *cprof_object_file_open(const struct cprof_profile *profile,
					   const struct cprof_mapping *mapping, const char *tools,
					   struct cprof_object_file **ret_file);
void cprof_object_file_close(struct cprof_object_file *file);
static inline void cprof_auto_object_file(struct cprof_object_file **file)
{
	cprof_object_file_close(*file);
}

/* The program's own address for a run-time one; false where it lies in no segment of the file. */
bool cprof_object_file_address(const struct cprof_object_file *file, uint64_t addr,
			       uint64_t *ret_file_addr);

struct cprof_object_symbol {
	char *name;          /* owned; as binutils print it, without parameters */
	uint64_t start, end; /* the program's own addresses, [start, end) */
};

/* The functions that match, or that `address` lies in (0: none asked for), by address. Owned by the caller. */
struct cprof_error *cprof_object_file_symbols(struct cprof_object_file *file,
					      struct cprof_regex *regex, uint64_t address,
					      struct cprof_object_symbol **ret_symbols,
					      size_t *ret_n);
void cprof_object_symbols_free(struct cprof_object_symbol *symbols, size_t n);

struct cprof_instruction {
	uint64_t file_addr;
	char *text;            /* owned, as are the others */
	char *function, *file; /* "" where unknown */
	int64_t line;
};

/* The program's own addresses, [start, end). */
struct cprof_object_range {
	uint64_t start, end;
};

/* The instructions of all of `ranges`, which are sorted; what lies close together costs one run. Owned by the caller. */
struct cprof_error *cprof_object_file_disassemble(struct cprof_object_file *file,
						  const struct cprof_object_range *ranges, size_t n,
						  bool intel,
						  struct cprof_instruction **ret_instructions,
						  size_t *ret_n);
void cprof_instructions_free(struct cprof_instruction *instructions, size_t n);

#endif
