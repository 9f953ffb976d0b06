/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/process/mapped_file.h - the file that a mapping of a process is of, opened: the very one, and no other that has its name by now.
 *
 * Owns the ways to it: /proc/PID/map_files, the name as the process sees it, and where only its user may read it a copy made as that
 * user (owner_file.h).
 */
#ifndef CPROF_SYMBOLIZE_PROCESS_MAPPED_FILE_H
#define CPROF_SYMBOLIZE_PROCESS_MAPPED_FILE_H

#include "cprof/budget.h"
#include "cprof/error.h"
#include "cprof/maps.h"

/*
 * *ret_fd is the caller's; *ret_copied: only the process's user may read the file, and this is a copy made as him. A copy counts as memory of the budget, and its time as time of copying. Errors: DENIED, BAD_DATA (another
 * file has its name), UNSUPPORTED (the budget), OS, NO_MEMORY.
 */
struct cprof_error *cprof_mapped_file_open(struct cprof_budget *budget,
					   const struct cprof_maps *maps,
					   const struct cprof_map *map, int *ret_fd,
					   bool *ret_copied);

/* Without a copy: cprof_modules_open_map(). */
int cprof_mapped_file_find(const struct cprof_maps *maps, const struct cprof_map *map);

#endif
