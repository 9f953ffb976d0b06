/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/names/jit_names.h - names of code that processes made at run time: by their perf map, their jitdump, or their Java machine.
 *
 * Owns the order in which these are asked, and reads the files of a process when the first address asks for them. What is of no name
 * is at least code of a kind: the name of its region.
 */
#ifndef CPROF_SYMBOLIZE_NAMES_JIT_NAMES_H
#define CPROF_SYMBOLIZE_NAMES_JIT_NAMES_H

#include "cprof/budget.h"
#include "cprof/maps.h"

#define CPROF_JIT_REGION_MAX 300

/* A zeroed struct is ready for use. */
struct cprof_jit_names {
	struct cprof_jit_process *all; /* owned; one for each process that was asked about */
	size_t n, cap;
};

void cprof_jit_names_deinit(struct cprof_jit_names *names);

struct cprof_jit_name {
	const char *
		text; /* NULL: it has none; borrowed until `names` is freed, or the process's mappings are */
	bool is_symbol; /* as a linker knows it, to be demangled */
};

/*
 * The name of the code at run-time address `addr` of the process that `maps` is of; one with a pid. What cannot be read costs names and is
 * told in `notes`, once for a process. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_jit_names_find(struct cprof_jit_names *names,
					 const struct cprof_maps *maps, struct cprof_budget *budget,
					 uint64_t addr, struct cprof_buffer *notes,
					 struct cprof_jit_name *ret_name);

/*
 * "[JIT]", "[anon: v8]": addresses of code made at run time tell nobody anything, and all of a region's are one row. False: `map`
 * is of a program or library.
 */
bool cprof_jit_names_region(const struct cprof_map *map, char text[CPROF_JIT_REGION_MAX]);

#endif
