/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/baseline_data.h"

#include <sys/mman.h>

#define DATA_MAX ((uint64_t)1 << 32) /* of one segment */

static bool each_segment(const struct cprof_module *module, const struct cprof_map *map,
			 uint64_t least_bytes, cprof_baseline_data_fn *fn, void *ctx)
{
	for (size_t i = 0; i < module->n_segments; i++) {
		const struct cprof_segment *segment = &module->segments[i];
		uint64_t start;
		if (!(segment->flags & PF_W) || segment->mem_size < least_bytes ||
		    segment->mem_size > DATA_MAX)
			continue;
		/* The mapping may begin in front of it, or behind its first pages, which are read-only by now. */
		if (!cprof_module_run_time(module, map, segment->file_addr, &start)) {
			if (map->offset < segment->offset ||
			    map->offset >= segment->offset + segment->file_size ||
			    map->offset - segment->offset > map->start)
				continue;
			start = map->start - (map->offset - segment->offset);
		}
		if (fn(ctx, start, start + segment->mem_size))
			return true;
	}
	return false;
}

struct cprof_error *cprof_baseline_each_data(struct cprof_maps *maps, struct cprof_modules *modules,
					     uint64_t least_bytes, cprof_baseline_data_fn *fn,
					     void *ctx, bool *ret_found)
{
	*ret_found = false;
	for (size_t i = 0; i < maps->n_sorted; i++) {
		struct cprof_map *map = maps->sorted[i];
		struct cprof_module *module;
		if (!(map->prot & PROT_WRITE) || !map->inode)
			continue;
		struct cprof_error *err = cprof_modules_get(modules, maps, map, &module);
		if (err)
			return err;
		if (module->kind == CPROF_MODULE_FILE &&
		    each_segment(module, map, least_bytes, fn, ctx)) {
			*ret_found = true;
			return NULL;
		}
	}
	return NULL;
}

bool cprof_baseline_is_code(struct cprof_maps *maps, uint64_t return_addr)
{
	const struct cprof_map *map = cprof_maps_find(maps, return_addr - 1);
	return map && map->prot & PROT_EXEC;
}
