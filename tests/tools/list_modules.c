/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list_modules PID|CORE - the files of code that we see in a process, or in a core file: a line "START END BUILD-ID PATH" for each, START and END those of
 * all its mappings.
 *
 * For comparing with what libdwfl reports of the same (tests/e2e/test_debug_files.py).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "attach/threads/core_maps.h"
#include "cprof/maps.h"
#include "cprof/module.h"
#include "tests/tools/live_memory.h"

static void check(struct cprof_error *err)
{
	if (!err)
		return;
	fprintf(stderr, "list_modules: %s\n", err->message);
	exit(1);
}

/* All mappings of the file around mapping `at`: they follow one another. */
static void extent(const struct cprof_maps *maps, size_t at, uint64_t *ret_start, uint64_t *ret_end)
{
	const char *path = maps->sorted[at]->path;
	size_t first = at, last = at;
	while (first > 0 && maps->sorted[first]->offset &&
	       strcmp(maps->sorted[first - 1]->path, path) == 0)
		first--;
	while (last + 1 < maps->n_sorted && maps->sorted[last + 1]->offset &&
	       strcmp(maps->sorted[last + 1]->path, path) == 0)
		last++;
	*ret_start = maps->sorted[first]->start;
	*ret_end = maps->sorted[last]->end;
}

static void list(struct cprof_modules *modules, struct cprof_maps *maps)
{
	char hex[2 * CPROF_BUILD_ID_MAX + 1];
	uint64_t start, end, told = 0;
	for (size_t i = 0; i < maps->n_sorted; i++) {
		struct cprof_map *map = maps->sorted[i];
		struct cprof_module *module = map->module;
		if (!(map->prot & PROT_EXEC))
			continue;
		if (!module)
			check(cprof_modules_get(modules, maps, map, &module));
		extent(maps, i, &start, &end);
		if (!module || !module->image || start == told)
			continue;
		told = start;
		cprof_build_id_hex(module->build_id, module->build_id_len, hex);
		printf("%#" PRIx64 " %#" PRIx64 " %s %s\n", start, end,
		       module->build_id_len ? hex : "-", map->path);
	}
}

int main(int argc, char **argv)
{
	struct cprof_modules modules;
	struct cprof_maps maps;
	struct cprof_core_file core = { 0 };
	struct cprof_core_maps_files files = { 0 };
	if (argc != 2)
		return 2;
	pid_t pid = (pid_t)strtol(argv[1], NULL, 10);
	cprof_modules_init(&modules);
	if (pid > 0) {
		cprof_maps_init(&maps, pid, (struct cprof_memory){ live_read, &pid });
		check(cprof_maps_refresh(&maps));
	} else {
		check(cprof_core_file_open(argv[1], &core));
		cprof_maps_init(&maps, 0, (struct cprof_memory){ cprof_core_file_read, &core });
		check(cprof_core_maps_fill(&core, NULL, &modules, &maps, &files));
	}
	list(&modules, &maps);
	cprof_maps_deinit(&maps);
	cprof_modules_deinit(&modules);
	cprof_core_file_deinit(&core);
	return 0;
}
