/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/heap_row.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attach/heap/inject/heap_restore.h"
#include "base/cleanup.h"
#include "cprof/module.h"

/* Only what is mapped from a file to be run, and not to be written, gets a jump. */
static const struct cprof_map *code_at(const struct cprof_maps *maps,
				       const struct cprof_shim_patch *row)
{
	const struct cprof_map *map = cprof_maps_find(maps, row->addr);
	return map && map->inode && map->prot == (PROT_READ | PROT_EXEC) &&
			       row->len <= map->end - row->addr &&
			       cprof_heap_restore_same_place(maps, row)
		       ? map
		       : NULL;
}

/* Is the jump, or what a uprobe made of it, there? `now` gets the bytes. */
static bool is_in_place(const struct cprof_maps *maps, const struct cprof_shim_patch *row,
			uint8_t *now)
{
	size_t foreign;
	return row->len && row->len <= sizeof(row->patched) &&
	       maps->memory.read(maps->memory.ctx, row->addr, now, row->len) &&
	       memcmp(now, row->original, row->len) != 0 &&
	       cprof_heap_restore_owns(row, now, &foreign);
}

enum cprof_heap_row cprof_heap_row_check(const struct cprof_maps *maps,
					 const struct cprof_shim_patch *row, const char **ret_why)
{
	uint8_t now[sizeof(row->patched)], file[sizeof(row->original)];
	struct stat st;
	*ret_why = NULL;
	if (!is_in_place(maps, row, now))
		return CPROF_HEAP_ROW_NOTHING;
	const struct cprof_map *map = code_at(maps, row);
	if (!map) {
		*ret_why = "it is no code of a file";
		return CPROF_HEAP_ROW_FALSE;
	}
	CPROF_AUTO(close) int fd = cprof_modules_open_map(maps, map);
	const uint64_t at = map->offset + (row->addr - map->start);
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
	    pread(fd, file, row->len, (off_t)at) != row->len) {
		*ret_why = "its file cannot be read";
		return geteuid() == 0 ? CPROF_HEAP_ROW_FALSE : CPROF_HEAP_ROW_TRUE;
	}
	if (memcmp(file, row->original, row->len) == 0)
		return CPROF_HEAP_ROW_TRUE;
	*ret_why = "its file has other bytes there";
	return CPROF_HEAP_ROW_FALSE;
}
