/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/heap_extent.h"

#include "attach/heap/code/code_flow.h"

/* alloc_find.h's way to say that nothing tells. */
static bool is_unknown(const struct cprof_alloc_entry *entry)
{
	return entry->custom && entry->end == entry->addr + 1;
}

static void set_end(struct cprof_alloc_entries *entries, struct cprof_alloc_entry *entry,
		    uint64_t end)
{
	for (size_t i = 0; i < entries->n_ranges; i++) {
		if (entries->ranges[i].start == entry->addr && entries->ranges[i].end == entry->end)
			entries->ranges[i].end = end;
	}
	entry->end = end;
}

static struct cprof_error *find_end(struct cprof_alloc_entries *entries,
				    struct cprof_alloc_entry *entry,
				    struct cprof_code_objects *objects)
{
	const struct cprof_module *module = entry->map->module;
	struct cprof_code_object *object;
	struct cprof_code_flow flow;
	uint64_t addr;
	if (!cprof_module_file_addr(module, entry->map, entry->addr, &addr))
		return NULL;
	struct cprof_error *err = cprof_code_objects_get(objects, entry->map->module, &object);
	if (!err)
		err = cprof_code_flow_find(object, addr, &flow);
	if (err)
		return err;
	if (flow.end > addr && flow.end - addr <= entry->map->end - entry->addr)
		set_end(entries, entry, entry->addr + (flow.end - addr));
	cprof_code_flow_deinit(&flow);
	return NULL;
}

struct cprof_error *cprof_heap_extent_find(struct cprof_alloc_entries *entries,
					   const struct cprof_maps *maps,
					   struct cprof_modules *modules)
{
	struct cprof_code_objects objects = { 0 };
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < entries->n; i++) {
		struct cprof_module *module;
		if (!is_unknown(&entries->all[i]))
			continue;
		err = cprof_modules_get(modules, maps, entries->all[i].map, &module);
		if (!err)
			err = find_end(entries, &entries->all[i], &objects);
		if (err && err->code != CPROF_ERR_NO_MEMORY) {
			/* It stays unknown. */
			cprof_error_free(err);
			err = NULL;
		}
	}
	cprof_code_objects_deinit(&objects);
	return err;
}
