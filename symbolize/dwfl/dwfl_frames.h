/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/dwfl/dwfl_frames.h - an address named by libdwfl and libdw alone: function, inlined calls, files and lines.
 *
 * Owns the questions that are put to them, and what they have no question for: units by their own ranges (libdw 0.188 finds them by .debug_aranges
 * alone, which clang does not write), and a unit's functions by theirs (dwarf_getscopes() does not look into namespaces and classes, and finds
 * nothing where an inlined function was written in another unit, as with LTO). Names mean the same as in symbolize/dwarf/: the function that was not inlined by its symbol, others by their
 * linkage name, else with their namespaces before them.
 *
 * Slow: dwfl_module_addrinfo() walks all symbols for each address, libdw all of a function's entries.
 */
#ifndef CPROF_SYMBOLIZE_DWFL_DWFL_FRAMES_H
#define CPROF_SYMBOLIZE_DWFL_DWFL_FRAMES_H

#include "symbolize/dwarf/dwarf.h"
#include "symbolize/dwfl/dwfl.h"
#include "cprof/hash.h"
#include "symbolize/elf/intervals.h"

#define CPROF_DWFL_TEXTS 256 /* qualified names of one answer */

/* Entries of functions that have code, found by address; also those of units. */
struct cprof_dwfl_entries {
	struct cprof_intervals by_addr; /* what: index in dies */
	Dwarf_Die *dies;                /* owned */
	size_t n, cap;
};

/* Zeroed with its module set: nothing was asked yet. */
struct cprof_dwfl_namer {
	struct cprof_dwfl_module *module; /* borrowed */
	bool units_read;
	struct cprof_dwfl_entries units;
	struct cprof_map64 functions_of;      /* a unit's entry -> index in functions + 1 */
	struct cprof_dwfl_entries *functions; /* owned; of units that were met */
	size_t n_functions, cap_functions;
	char *texts[CPROF_DWFL_TEXTS]; /* owned; of the last answer */
	size_t n_texts;
};

void cprof_dwfl_namer_deinit(struct cprof_dwfl_namer *namer);

/*
 * The frames at `addr`, innermost first, at most `cap`; 0: neither symbol nor unit holds it. Strings are borrowed until the next question, "" where
 * unknown.
 */
size_t cprof_dwfl_namer_ask(struct cprof_dwfl_namer *namer, uint64_t addr,
			    struct cprof_dwarf_frame *frames, size_t cap);

#endif
