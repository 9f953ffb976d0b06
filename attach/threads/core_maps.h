/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/threads/core_maps.h - the mappings of a core file's process, and the files that were mapped.
 *
 * Owns the question which file is the right one: by the build-id that the core holds, never by the path alone.
 */
#ifndef CPROF_ATTACH_THREADS_CORE_MAPS_H
#define CPROF_ATTACH_THREADS_CORE_MAPS_H

#include "attach/threads/core_file.h"
#include "cprof/error.h"
#include "cprof/maps.h"
#include "cprof/module.h"

/* What became of the mapped files. */
struct cprof_core_maps_files {
	size_t opened, missing, wrong;
	char first_missing[256];
	char first_wrong[256]; /* it is there, but its build-id is not the one in the core */
};

/*
 * Fill empty `maps`: dumped segments and mapped files, the vdso under its name. Code files are opened into
 * `modules`, the main program from `exe` if that is given, the others from where they were. A file with another
 * build-id than the core's is not used: its names would be wrong. Errors: NO_MEMORY, BAD_DATA, and for `exe` OS.
 */
struct cprof_error *cprof_core_maps_fill(struct cprof_core_file *core, const char *exe,
					 struct cprof_modules *modules, struct cprof_maps *maps,
					 struct cprof_core_maps_files *ret_files);

#endif
