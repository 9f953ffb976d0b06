/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/maps.h"
#include "cprof/module.h"
#include "symbolize/dwfl/dwfl_frames.h"
#include "tests/unit/test.h"

#include <unistd.h>

/* This program's own module, and its files. */
struct own {
	struct cprof_modules modules;
	struct cprof_module *module;
	struct cprof_dwfl_files files;
	struct cprof_dwfl dwfl;
};

static void open_own(struct own *own, const char *path)
{
	*own = (struct own){ 0 };
	cprof_modules_init(&own->modules);
	CHECK(!cprof_modules_open(&own->modules, path, &own->module));
	CHECK(!cprof_elf_open(own->module->image, true, &own->files.self));
	CHECK(!cprof_dwfl_init(&own->dwfl));
}

static void close_own(struct own *own)
{
	cprof_dwfl_deinit(&own->dwfl);
	cprof_elf_free(own->files.self);
	cprof_modules_deinit(&own->modules);
}

/* A name that is found here, on a line that is known. */
__attribute__((noinline)) static int marked(int x)
{
	__asm__ volatile("" ::: "memory");
	return x + 1;
}
enum { MARKED_LINE = __LINE__ - 5 };

static uint64_t base_of(const struct cprof_maps *maps, uint64_t addr, uint64_t *ret_end)
{
	const struct cprof_map *map = cprof_maps_find(maps, addr);
	CHECK(map);
	const uint64_t base = map->start - map->offset;
	*ret_end = map->end;
	return base;
}

TEST(dwfl_names_a_function_of_a_running_process_at_its_address_there)
{
	struct own own;
	struct cprof_dwfl_module *module;
	struct cprof_dwarf_frame frames[8];
	struct cprof_maps maps;
	const uint64_t addr = (uint64_t)(uintptr_t)marked;
	uint64_t end;
	CHECK(marked(1) == 2);
	cprof_maps_init(&maps, getpid(), (struct cprof_memory){ 0 });
	CHECK(!cprof_maps_refresh(&maps));
	open_own(&own, "/proc/self/exe");
	const uint64_t start = base_of(&maps, addr, &end);
	CHECK(!cprof_dwfl_add(&own.dwfl, "unit_tests", start, end, &own.files, &module));
	struct cprof_dwfl_namer namer = { .module = module };
	CHECK_UINT(cprof_dwfl_namer_ask(&namer, addr, frames, 8), 1);
	CHECK_STR(frames[0].name, "marked");
	CHECK_STR(frames[0].linkage_name, "marked");
	CHECK(strstr(frames[0].file, "tests/unit/test_dwfl.c"));
	/* Several lines have no code but this. */
	CHECK(frames[0].line >= MARKED_LINE && frames[0].line <= MARKED_LINE + 3);
	CHECK_UINT(frames[0].start_line, MARKED_LINE);
	cprof_dwfl_namer_deinit(&namer);
	close_own(&own);
	cprof_maps_deinit(&maps);
}
