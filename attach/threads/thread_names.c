/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/threads/thread_names.h"

#include "symbolize/names/names.h"

struct cprof_error *cprof_thread_names_init(struct cprof_thread_names *names,
					    const struct cprof_symbolizer_options *options,
					    struct cprof_modules *modules, struct cprof_maps *maps)
{
	*names = (struct cprof_thread_names){ .options = *options,
					      .maps = maps,
					      .modules = modules };
	return cprof_symbolizer_new(&names->options, modules, &names->symbolizer);
}

void cprof_thread_names_deinit(struct cprof_thread_names *names)
{
	cprof_symbolizer_free(names->symbolizer);
	names->symbolizer = NULL;
}

static struct cprof_error *function_start(struct cprof_thread_names *names, struct cprof_map *map,
					  uint64_t addr, struct cprof_thread_name *name)
{
	struct cprof_module *module;
	struct cprof_names *found;
	uint64_t file_addr;
	struct cprof_error *err = cprof_modules_get(names->modules, names->maps, map, &module);
	if (err || !cprof_module_file_addr(module, map, addr, &file_addr))
		return err;
	name->module_offset = file_addr;
	if (!module->image)
		return NULL;
	const struct cprof_names_options from = { .cache_dir = names->options.cache_dir };
	const struct cprof_symbol *symbol = NULL;
	err = cprof_names_get(module, &from, &found);
	if (!err)
		err = cprof_names_symbol(found, file_addr, &symbol);
	if (err)
		return err;
	if (symbol)
		name->function_start = addr - (file_addr - symbol->start);
	return NULL;
}

struct cprof_error *cprof_thread_names_get(struct cprof_thread_names *names, uint64_t addr,
					   struct cprof_thread_name *ret_name)
{
	struct cprof_map *map = cprof_maps_find(names->maps, addr);
	*ret_name = (struct cprof_thread_name){ .module = map ? map->path : "" };
	struct cprof_error *err = cprof_symbolizer_addr(names->symbolizer, names->maps, map, addr,
							&ret_name->frames, &ret_name->n);
	if (err || !map)
		return err;
	return function_start(names, map, addr, ret_name);
}
