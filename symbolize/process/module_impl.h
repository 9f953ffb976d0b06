/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/process/module_impl.h - the inside of module.h, for the files that implement it.
 *
 * module.c opens files and converts addresses, module_moved.c finds the file of text that was moved to other memory.
 */
#ifndef CPROF_SYMBOLIZE_PROCESS_MODULE_IMPL_H
#define CPROF_SYMBOLIZE_PROCESS_MODULE_IMPL_H

#include "cprof/module.h"

/*
 * Is `map` executable memory of a kind that programs copy their text to: without a file, shared or huge pages, a file that is
 * memory only?
 */
bool cprof_module_may_hold_moved(const struct cprof_map *map);

/*
 * Is `map` in the place of a piece of text of the module that `beside` maps, with the same bytes? Then
 * *ret_offset is where `map` would begin in its file. Reads a few bytes of the process; does not stop it.
 */
bool cprof_module_moved(const struct cprof_maps *maps, const struct cprof_map *beside,
			const struct cprof_module *module, const struct cprof_map *map,
			uint64_t *ret_offset);

/*
 * The closest mapping of another file below or above `map`, not of one that may itself hold a copy; NULL where there is none
 * near. Borrowed from `maps`.
 */
struct cprof_map *cprof_module_neighbour(const struct cprof_maps *maps, const struct cprof_map *map,
					 bool below);

#endif
