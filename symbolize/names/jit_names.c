/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/jit_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/array.h"
#include "symbolize/java/java_vm.h"
#include "symbolize/names/jit_dump.h"
#include "symbolize/names/perf_map.h"
#include "symbolize/names/place_name.h"

#define ANON  "[anon:" /* memory that its owner has named; proc(5) */
#define MEMFD "/memfd:"

struct cprof_jit_process {
	pid_t pid;
	struct cprof_perf_map map;
	struct cprof_jit_dump dump;
	const struct cprof_java_vm *java; /* borrowed from the process's mappings */
};

void cprof_jit_names_deinit(struct cprof_jit_names *names)
{
	for (size_t i = 0; i < names->n; i++) {
		cprof_perf_map_deinit(&names->all[i].map);
		cprof_jit_dump_deinit(&names->all[i].dump);
	}
	free(names->all);
	*names = (struct cprof_jit_names){ 0 };
}

/* Anything but a lack of memory costs names, and the user is told. */
static struct cprof_error *note(struct cprof_buffer *notes, struct cprof_error *err)
{
	if (!err || err->code == CPROF_ERR_NO_MEMORY)
		return err;
	cprof_buffer_printf(notes, "no names of JIT code: %s\n", err->message);
	cprof_error_free(err);
	return NULL;
}

static struct cprof_error *need(struct cprof_jit_names *names, const struct cprof_maps *maps,
				struct cprof_budget *budget, struct cprof_buffer *notes,
				const struct cprof_jit_process **ret_process)
{
	for (size_t i = 0; i < names->n; i++) {
		*ret_process = &names->all[i];
		if (names->all[i].pid == maps->pid)
			return NULL;
	}
	if (!CPROF_ARRAY_ROOM(names->all, names->n, names->cap, 1))
		return cprof_error_no_memory();
	struct cprof_jit_process *process = &names->all[names->n++];
	*process = (struct cprof_jit_process){ .pid = maps->pid, .java = cprof_java_vm_met(maps) };
	*ret_process = process;
	struct cprof_error *err = note(notes, cprof_perf_map_read(&process->map, maps, budget));
	return err ? err : note(notes, cprof_jit_dump_read(&process->dump, maps, budget));
}

struct cprof_error *cprof_jit_names_find(struct cprof_jit_names *names,
					 const struct cprof_maps *maps, struct cprof_budget *budget,
					 uint64_t addr, struct cprof_buffer *notes,
					 struct cprof_jit_name *ret_name)
{
	const struct cprof_jit_process *process;
	struct cprof_error *err = need(names, maps, budget, notes, &process);
	if (err)
		return err;
	const char *text = cprof_perf_map_find(&process->map, addr);
	if (!text)
		text = cprof_jit_dump_find(&process->dump, addr);
	*ret_name = (struct cprof_jit_name){ .text = text, .is_symbol = text };
	/* No linker's symbol: "Step.resume" has no suffix to be cut. */
	if (!text && process->java)
		ret_name->text = cprof_java_vm_name(process->java, addr);
	return NULL;
}

/* Executable memory that no program or library was loaded into. */
static bool is_generated(const struct cprof_map *map)
{
	return (map->prot & PROT_EXEC) &&
	       (!map->path[0] || strncmp(map->path, ANON, strlen(ANON)) == 0 ||
		cprof_maps_is_memory(map->path));
}

bool cprof_jit_names_region(const struct cprof_map *map, char text[CPROF_JIT_REGION_MAX])
{
	const char *path = map->path;
	const int len = (int)strcspn(path, "]");
	if (!is_generated(map))
		return false;
	if (strncmp(path, ANON, strlen(ANON)) == 0)
		snprintf(text, CPROF_JIT_REGION_MAX, CPROF_PLACE_REGION "%.*s]",
			 len - (int)strlen(ANON), path + strlen(ANON));
	else if (strncmp(path, MEMFD, strlen(MEMFD)) == 0)
		snprintf(text, CPROF_JIT_REGION_MAX, CPROF_PLACE_REGION "%.255s]", path + 1);
	else
		snprintf(text, CPROF_JIT_REGION_MAX, "%s", CPROF_PLACE_JIT);
	return true;
}
