/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/heap_restore.h"

#include <inttypes.h>
#include <string.h>

#define BREAKPOINT 0xcc

bool cprof_heap_restore_same_place(const struct cprof_maps *maps,
				   const struct cprof_shim_patch *row)
{
	const struct cprof_map *map = cprof_maps_find(maps, row->addr);
	return map && map->start == row->map_start && map->dev == row->map_dev &&
	       map->inode == row->map_inode && map->offset == row->map_offset;
}

bool cprof_heap_restore_owns(const struct cprof_shim_patch *row, const uint8_t *now,
			     size_t *ret_foreign)
{
	*ret_foreign = row->len;
	for (size_t i = 0; i < row->len; i++) {
		if (now[i] == row->patched[i])
			continue;
		if (*ret_foreign < row->len || (now[i] != BREAKPOINT && now[i] != row->original[i]))
			return false;
		*ret_foreign = i;
	}
	/* A jump in the place of a jump: this byte was not changed. */
	if (*ret_foreign == row->len && row->original[0] == row->patched[0])
		*ret_foreign = 0;
	return true;
}

/* A breakpoint may have come since the bytes were written. */
static bool took(const uint8_t *now, const uint8_t *want, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (now[i] != want[i] && now[i] != BREAKPOINT)
			return false;
	}
	return true;
}

/* The bytes [from, end) of the row. */
static struct cprof_error *put_back(const struct cprof_ptrace *trace,
				    const struct cprof_shim_patch *row, size_t from, size_t end)
{
	uint8_t now[8];
	const uint64_t addr = row->addr + from;
	if (from >= end)
		return NULL;
	struct cprof_error *err = cprof_ptrace_poke(trace, addr, row->original + from, end - from);
	if (!err)
		err = cprof_ptrace_read(trace, addr, now, end - from);
	if (!err && !took(now, row->original + from, end - from))
		err = cprof_error_new(CPROF_ERR_OS, "0x%" PRIx64 " did not take its bytes back",
				      addr);
	return err;
}

struct cprof_error *cprof_heap_restore(const struct cprof_ptrace *trace,
				       const struct cprof_shim_patch *row,
				       enum cprof_heap_restored *ret_what)
{
	uint8_t now[8];
	size_t foreign;
	*ret_what = CPROF_HEAP_RESTORE_NOT_OURS;
	if (row->len > sizeof(now) || row->len == 0)
		return NULL; /* the target's memory may hold anything */
	struct cprof_error *err = cprof_ptrace_read(trace, row->addr, now, row->len);
	if (err)
		return err;
	if (memcmp(now, row->original, row->len) == 0) {
		*ret_what = CPROF_HEAP_RESTORE_UNCHANGED;
		return NULL;
	}
	if (!cprof_heap_restore_owns(row, now, &foreign))
		return NULL;
	err = put_back(trace, row, 0, foreign);
	if (!err)
		err = put_back(trace, row, foreign + 1, row->len);
	if (!err)
		*ret_what = CPROF_HEAP_RESTORE_DONE;
	return err;
}
