/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/mapping_numbers.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

void cprof_mapping_numbers_init(struct cprof_mapping_numbers *numbers,
				struct cprof_builder *builder, struct cprof_modules *modules)
{
	*numbers = (struct cprof_mapping_numbers){ .builder = builder, .modules = modules };
}

void cprof_mapping_numbers_deinit(struct cprof_mapping_numbers *numbers)
{
	free(numbers->sources);
	*numbers = (struct cprof_mapping_numbers){ 0 };
}

/* The builder counts up from 1, and so do we. */
static struct cprof_error *add(struct cprof_mapping_numbers *numbers,
			       const struct cprof_builder_mapping *mapping,
			       struct cprof_mapping_source source, uint32_t *ret_number)
{
	if (!CPROF_ARRAY_ROOM(numbers->sources, numbers->n, numbers->cap, 1))
		return cprof_error_no_memory();
	struct cprof_error *err = cprof_builder_mapping(numbers->builder, mapping, ret_number);
	if (!err)
		numbers->sources[numbers->n++] = source;
	return err;
}

static struct cprof_error *room_for(struct cprof_process *process, uint32_t map_id)
{
	uint32_t old = process->n_mapping_numbers, more = map_id - old + 1;
	if (map_id < old)
		return NULL;
	if (!CPROF_ARRAY_ROOM(process->mapping_numbers, old, process->n_mapping_numbers, more))
		return cprof_error_no_memory();
	memset(process->mapping_numbers + old, 0,
	       (process->n_mapping_numbers - old) * sizeof(*process->mapping_numbers));
	return NULL;
}

struct cprof_error *cprof_mapping_numbers_get(struct cprof_mapping_numbers *numbers,
					      struct cprof_process *process, struct cprof_map *map,
					      uint32_t *ret_number)
{
	struct cprof_error *err = room_for(process, map->id);
	if (err)
		return err;
	*ret_number = process->mapping_numbers[map->id];
	if (*ret_number)
		return NULL;

	struct cprof_module *module;
	err = cprof_modules_get(numbers->modules, &process->maps, map, &module);
	if (err)
		return err;
	char hex[2 * CPROF_BUILD_ID_MAX + 1];
	const struct cprof_builder_mapping added = {
		.start = map->start,
		.limit = map->end,
		.offset = map->offset,
		.filename = map->moved   ? module->path
			    : *map->path ? map->path
					 : "//anon",
		.build_id = cprof_build_id_hex(module->build_id, module->build_id_len, hex),
	};
	err = add(numbers, &added, (struct cprof_mapping_source){ &process->maps, map },
		  ret_number);
	if (!err)
		process->mapping_numbers[map->id] = *ret_number;
	return err;
}

/* Every source's mappings are a process's (above). */
struct cprof_error *cprof_mapping_numbers_of_maps(struct cprof_mapping_numbers *numbers,
						  struct cprof_maps *maps, struct cprof_map *map,
						  uint32_t *ret_number)
{
	void *process = (char *)maps - offsetof(struct cprof_process, maps);
	return cprof_mapping_numbers_get(numbers, process, map, ret_number);
}

struct cprof_error *cprof_mapping_numbers_kernel(struct cprof_mapping_numbers *numbers,
						 uint32_t *ret_number)
{
	static const struct cprof_builder_mapping kernel = {
		.start = CPROF_KERNEL_START,
		.limit = UINT64_MAX,
		.filename = "[kernel.kallsyms]",
	};
	struct cprof_error *err = NULL;
	if (!numbers->kernel)
		err = add(numbers, &kernel, (struct cprof_mapping_source){ 0 }, &numbers->kernel);
	*ret_number = numbers->kernel;
	return err;
}

const struct cprof_mapping_source *
cprof_mapping_numbers_source(const struct cprof_mapping_numbers *numbers, uint32_t number)
{
	return number && number <= numbers->n ? &numbers->sources[number - 1] : NULL;
}
