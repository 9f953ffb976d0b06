/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/dwarf/dwarf_file.h - the DWARF sections of one file: units, abbreviations, attributes.
 *
 * Owns reading entries: where units begin, what an abbreviation code stands for, the value of an attribute in
 * whichever form it is written. What entries mean is dwarf_calls.h's and dwarf_lines.h's.
 *
 * Work is bounded: abbreviation tables are read once each and at most ABBREV_WORK bytes of them in all.
 * Source of truth: DWARF 5 "Data Representation"; the GNU forms as dwz and GCC write them.
 */
#ifndef CPROF_SYMBOLIZE_DWARF_DWARF_FILE_H
#define CPROF_SYMBOLIZE_DWARF_DWARF_FILE_H

#include "cprof/hash.h"
#include "symbolize/dwarf/dwarf_cursor.h"
#include "symbolize/dwarf/dwarf_package.h"
#include "symbolize/elf/elf_file.h"

struct cprof_abbrev_attr {
	uint16_t name, form;
	int16_t size;     /* cprof_dwarf_form_size() */
	int64_t implicit; /* DW_FORM_implicit_const */
};

struct cprof_abbrev {
	uint64_t code;
	uint32_t first_attr, n_attrs;
	uint16_t tag;
	bool has_children;
	/* What is among the attributes: DW_AT_sibling, low_pc or ranges, a name of either kind. */
	bool has_sibling, has_code, has_name, has_linkage_name;
	int16_t size; /* of all attributes where that is the same for every entry; -1 where not */
};

struct cprof_abbrevs {
	struct cprof_abbrev *all; /* owned; [code - 1] where dense, else by code */
	size_t n, cap;
	struct cprof_abbrev_attr *attrs; /* owned */
	size_t n_attrs, cap_attrs;
	bool dense;
};

struct cprof_dwarf_unit {
	struct cprof_dwarf_file *file;
	uint64_t offset, end; /* in .debug_info, header included */
	const uint8_t *bytes; /* of `offset`; NULL until opened */
	bool whole;           /* all of them may be read, not only the first ones */
	uint64_t entries;     /* offset of the root entry */
	uint64_t abbrev_offset;
	const struct cprof_abbrevs *abbrevs;
	uint16_t version;
	uint8_t type; /* DW_UT_* */
	uint8_t addr_size, offset_size;
	bool opened, broken;

	/* From the root entry. */
	uint64_t low_pc, stmt_list;
	uint64_t str_offsets_base, addr_base, rnglists_base;
	bool has_stmt_list, is_split;
	const char *comp_dir, *name; /* "" where unknown */
	const char *dwo_name;        /* of a skeleton: the file with its entries; "" otherwise */
	uint64_t dwo_id;
	uint64_t
		ranges_base; /* of this unit's own lists; not what a skeleton says, which is the next */
	uint64_t
		split_ranges_base; /* of the lists of the entries in its .dwo file (before DWARF 5) */
};

struct cprof_dwarf_file {
	struct cprof_elf *elf;        /* borrowed */
	struct cprof_dwarf_file *alt; /* borrowed; dwz's common file, NULL: none */
	struct cprof_section *info, *abbrev, *str, *line, *line_str, *ranges, *rnglists, *addr,
		*str_offsets, *aranges;  /* borrowed; NULL: none */
	struct cprof_dwarf_unit **units; /* owned; as they were met */
	size_t n_units, cap_units;
	uint32_t *
		order; /* owned; indexes in `units`, by offset: those that begin before `scan_at` */
	size_t n_order, cap_order;
	uint64_t scan_at;
	bool scanned;    /* all units are in `order` */
	bool met_broken; /* there is a unit that cannot be read, or its end is not found */
	struct cprof_map64 unit_at;    /* offset -> index of a unit opened without a scan, + 1 */
	struct cprof_abbrevs **tables; /* owned */
	size_t n_tables, cap_tables;
	struct cprof_map64 table_at; /* offset in .debug_abbrev -> index + 1 */
	uint64_t abbrev_work;
	bool borrowed; /* names made of entries may be in use: nothing is forgotten */
	uint64_t read,
		held; /* bytes of units read whole: in all, and since the last cprof_dwarf_file_forget() */
};

/* False: `elf` has no .debug_info. */
bool cprof_dwarf_file_init(struct cprof_dwarf_file *file, struct cprof_elf *elf);

/* Have what that will need decompressed meanwhile (cprof_elf_section_prefetch). */
void cprof_dwarf_file_prefetch(struct cprof_elf *elf, struct cprof_prefetch *prefetch,
			       uint64_t *left);

/* cprof_dwarf_file_init() for a .dwo file; addresses, and ranges before DWARF 5, stay in `skeleton`, the file that it belongs to. */
bool cprof_dwarf_file_init_split(struct cprof_dwarf_file *file, struct cprof_elf *elf,
				 const struct cprof_dwarf_file *skeleton);

/* The same for what `slices` of the package in `elf` hold of one .dwo file; they are borrowed. */
void cprof_dwarf_file_init_package(struct cprof_dwarf_file *file, struct cprof_elf *elf,
				   struct cprof_dwarf_slices *slices,
				   const struct cprof_dwarf_file *skeleton);
void cprof_dwarf_file_deinit(struct cprof_dwarf_file *file);

/* Whether work and memory for what is made of the file's entries are still to be had (budget.h). */
static inline bool cprof_dwarf_file_pay(const struct cprof_dwarf_file *file, uint64_t steps,
					uint64_t bytes)
{
	struct cprof_account *account = file->elf->image->account;
	return cprof_account_charge(account, CPROF_BUDGET_STEPS, steps) &&
	       (!bytes || cprof_account_charge(account, CPROF_BUDGET_HELD, bytes));
}

/* The unit that starts at `offset`, opened; NULL where there is none or it is broken. */
struct cprof_dwarf_unit *cprof_dwarf_file_unit(struct cprof_dwarf_file *file, uint64_t offset);

/* The unit that holds the entry at `offset`; walks the headers before it on first use. */
struct cprof_dwarf_unit *cprof_dwarf_file_unit_around(struct cprof_dwarf_file *file,
						      uint64_t offset);

/* Walk all unit headers once; file->units then has them all. */
void cprof_dwarf_file_scan(struct cprof_dwarf_file *file);

/* One header more: the unit that begins at scan_at is in `order` then. False: there is none. */
bool cprof_dwarf_file_scan_next(struct cprof_dwarf_file *file);

/* Nothing is borrowed any more from units, nor from what they were read from: entries before `offset` may go from memory. */
void cprof_dwarf_file_forget(struct cprof_dwarf_file *file, uint64_t offset);

/* ---- entries and attributes ---- */

enum cprof_value_kind {
	CPROF_VALUE_NONE, /* skipped: blocks, flags of no interest, what could not be read */
	CPROF_VALUE_CONST,
	CPROF_VALUE_ADDR,
	CPROF_VALUE_STRING,
	CPROF_VALUE_REF,     /* u: offset in .debug_info of this file */
	CPROF_VALUE_REF_ALT, /* u: offset in .debug_info of the alt file */
	CPROF_VALUE_OFFSET,  /* u: offset in another section */
	CPROF_VALUE_LISTX,   /* u: index in a table of offsets (DW_FORM_rnglistx) */
};

struct cprof_value {
	enum cprof_value_kind kind;
	uint64_t u;
	const char *string; /* CPROF_VALUE_STRING; never NULL then */
};

/* Bytes that `form` takes in every entry of the unit, or -1. */
int cprof_dwarf_form_size(const struct cprof_dwarf_unit *unit, uint16_t form);

/* A cursor on the entry at `offset` of an opened unit. */
struct cprof_cursor cprof_dwarf_unit_cursor(struct cprof_dwarf_unit *unit, uint64_t offset);

/* One on the root entry, for which not all of the unit has to be in memory; it may end behind that entry. */
struct cprof_cursor cprof_dwarf_unit_root_cursor(struct cprof_dwarf_unit *unit);

/* Read the entry's code and find what it stands for; NULL: end of a list of siblings, or broken (cursor failed). */
const struct cprof_abbrev *cprof_dwarf_unit_entry(const struct cprof_dwarf_unit *unit,
						  struct cprof_cursor *cursor);

void cprof_dwarf_unit_skip(const struct cprof_dwarf_unit *unit, const struct cprof_abbrev *abbrev,
			   struct cprof_cursor *cursor);

void cprof_dwarf_unit_skip_value(const struct cprof_dwarf_unit *unit,
				 const struct cprof_abbrev_attr *attr, struct cprof_cursor *cursor);

void cprof_dwarf_unit_value(const struct cprof_dwarf_unit *unit,
			    const struct cprof_abbrev_attr *attr, struct cprof_cursor *cursor,
			    struct cprof_value *ret_value);

/* Address `index` of the unit's table in .debug_addr; false where there is none. */
bool cprof_dwarf_unit_addrx(const struct cprof_dwarf_unit *unit, uint64_t index,
			    uint64_t *ret_addr);

#endif
