/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/uprobe/heap_uprobe_file.h - a mapped file of the target as uprobes need it: a path to it, and its code bytes.
 *
 * Code is read from the file, not from the memory: there somebody's breakpoints may be in it.
 */
#ifndef CPROF_ATTACH_HEAP_UPROBE_HEAP_UPROBE_FILE_H
#define CPROF_ATTACH_HEAP_UPROBE_HEAP_UPROBE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cprof/error.h"
#include "cprof/maps.h"
#include "cprof/memory.h"

struct cprof_heap_uprobe_file {
	const struct cprof_map *map; /* borrowed */
	int fd;                      /* owned */
};

/* The very file that is mapped at `map`, replaced or deleted or not. Errors: OS, NO_MEMORY. */
struct cprof_error *cprof_heap_uprobe_file_open(const struct cprof_maps *maps,
						const struct cprof_map *map,
						struct cprof_heap_uprobe_file **ret_file);
void cprof_heap_uprobe_file_close(struct cprof_heap_uprobe_file *file);

/* A path that leads to it as long as it is open. Returns `path`. */
const char *cprof_heap_uprobe_file_path(const struct cprof_heap_uprobe_file *file, char *path,
					size_t n);

/* Its bytes by run-time address, within the mapping. */
struct cprof_memory cprof_heap_uprobe_file_code(struct cprof_heap_uprobe_file *file);

/* Is it under a debugger? Its breakpoints look like ours. */
bool cprof_heap_uprobe_file_traced(const struct cprof_maps *maps);

/*
 * Why there must be no probe at `addr`: a debugger's breakpoint is there, or other bytes than the file's are. NULL:
 * there may. Another uprobe's breakpoint does no harm.
 */
const char *cprof_heap_uprobe_file_changed(struct cprof_heap_uprobe_file *file,
					   const struct cprof_maps *maps, uint64_t addr);

#endif
