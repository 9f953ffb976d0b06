/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/names/names_library.h - names of an address by our own readers, by elfutils' libdwfl, or by both.
 *
 * Owns which of them is asked, as the user wants it; and of libdwfl, which modules it is not asked about again because it failed on them, and how much
 * time it may take. The asking itself, in a process of its own, is symbolize/dwfl/'s. The files are those of names.h, found and proved
 * as for our readers.
 */
#ifndef CPROF_SYMBOLIZE_NAMES_NAMES_LIBRARY_H
#define CPROF_SYMBOLIZE_NAMES_NAMES_LIBRARY_H

#include "cprof/hash.h"
#include "cprof/symbolizer_way.h"
#include "symbolize/dwfl/dwfl_child.h"
#include "symbolize/names/names.h"

/* Set what is not private before the first question; all else zeroed. */
struct cprof_names_library {
	struct cprof_modules *modules;   /* borrowed */
	struct cprof_names_options from; /* as those of the modules' names */
	enum cprof_symbolizer_way way;
	struct cprof_buffer notes; /* for people: what was not asked and why, a line each */

	/* Private. */
	struct cprof_dwfl_child child;
	size_t n_known;           /* modules when the child was started */
	struct cprof_map64 asked; /* module id -> 1; 2: it failed */
	bool missing;             /* there is no libdw here */
};

void cprof_names_library_deinit(struct cprof_names_library *library);

/*
 * The frames at `file_addr`, which the process has at `file_addr + bias`, as cprof_names_frames() gives them; strings are borrowed until the next question. Only one thread may be running.
 * Errors: NO_MEMORY.
 */
struct cprof_error *cprof_names_library_frames(struct cprof_names_library *library,
					       struct cprof_names *names, uint64_t file_addr,
					       uint64_t bias, struct cprof_dwarf_frame *frames,
					       size_t cap, size_t *ret_n);

#endif
