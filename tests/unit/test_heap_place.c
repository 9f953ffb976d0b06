/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/heap_place.h"

#include <stdio.h>

#include "tests/unit/test.h"

#define MIB  (1ull << 20)
#define GIB  (1ull << 30)
#define CODE 0xd000ull
#define DATA (18 * MIB)

static const char pie[] = "555555554000-555555560000 r-xp 00000000 08:01 7 /bin/x\n"
			  "555555580000-5555555a0000 rw-p 00000000 00:00 0 [heap]\n"
			  "7ffff7c00000-7ffff7e00000 r-xp 00000000 08:01 9 /lib/libc.so.6\n"
			  "7ffff7fc0000-7ffff7ff0000 r-xp 00000000 08:01 8 /lib/ld.so\n"
			  "7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0 [stack]\n";
static const char fixed[] = "00400000-004bf000 r-xp 00000000 08:01 7 /bin/x\n"
			    "004bf000-004c6000 rw-p 000bf000 08:01 7 /bin/x\n"
			    "004c6000-004e8000 rw-p 00000000 00:00 0 [heap]\n"
			    "7ffff7ff9000-7ffff7fff000 r-xp 00000000 00:00 0 [vdso]\n"
			    "7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0 [stack]\n";
/* Nothing but the gap behind the program is left below 2 GiB. */
static const char crowded[] = "00100000-004c6000 r-xp 00000000 08:01 7 /bin/x\n"
			      "7ffff7ff9000-7ffff7fff000 r-xp 00000000 00:00 0 [vdso]\n"
			      "7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0 [stack]\n";
static const char coroutines[] = "555555554000-555555560000 r-xp 00000000 08:01 7 /bin/x\n"
				 "7ffff7a00000-7ffff7a20000 rw-p 00000000 00:00 0 \n"
				 "7ffff7a20000-7ffff7e00000 r-xp 00000000 08:01 9 /lib/libc.so.6\n"
				 "7ffff7e01000-7ffffffff000 rw-p 00000000 00:00 0 [stack]\n";

static void parse(struct cprof_maps *maps, const char *text)
{
	cprof_maps_init(maps, 0, (struct cprof_memory){ 0 });
	CHECK(!cprof_maps_parse(maps, text, strlen(text)));
	maps->exe_dev = 8ull << 32 | 1;
	maps->exe_inode = 7;
}

static void check_free(const struct cprof_maps *maps, const char *what, uint64_t addr,
		       uint64_t bytes)
{
	if (!cprof_heap_place_marked(addr))
		TEST_FAIL("%s: 0x%" PRIx64 " is not marked", what, addr);
	for (size_t m = 0; m < maps->n_sorted; m++) {
		if (addr < maps->sorted[m]->end && addr + bytes > maps->sorted[m]->start)
			TEST_FAIL("%s: 0x%" PRIx64 " is in %s", what, addr, maps->sorted[m]->path);
	}
}

TEST(heap_place_of_code_is_near_and_not_where_anything_grows)
{
	static const struct {
		const char *what, *text;
		uint64_t low, start_brk, stack_bytes;
		uint64_t from, to; /* it is in there */
	} rows[] = {
		{ "a library", pie, 0x7ffff7c10000, 0x555555580000, 8 * MIB, 0x7ffff7e00000,
		  0x7ffff8000000 },
		{ "a program", pie, 0x555555556000, 0x555555580000, 8 * MIB, 0x555555500000,
		  0x555555580000 },
		{ "a program at a fixed address", fixed, 0x401000, 0x4c6000, 8 * MIB, 0x100000,
		  0x400000 },
		{ "only where the heap grows: far up", crowded, 0x401000, 0x4c6000, 8 * MIB,
		  0x7f000000, 0x80500000 },
		{ "the same, before there is a heap", crowded, 0x401000, 0x1000000, 8 * MIB,
		  0x4c6000, 0x1000000 },
		{ "and nobody says where it will be", crowded, 0x401000, 0, 8 * MIB, 0x7f000000,
		  0x80500000 },
		{ "what may be a stack of its own lies below", coroutines, 0x7ffff7a30000,
		  0x555555580000, 8 * MIB, 0x7fff00000000, 0x7ffff7a00000 - 8 * MIB },
		{ "stacks have no limit", pie, 0x7ffff7c10000, 0x555555580000, UINT64_MAX,
		  0x7ffff0000000, 0x7ffff7fc0000 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_maps maps;
		struct cprof_heap_space space;
		uint64_t addr = 0;
		parse(&maps, rows[i].text);
		cprof_heap_space_init(&space, &maps, rows[i].start_brk, rows[i].stack_bytes);
		if (!cprof_heap_place_code(&space, rows[i].low, rows[i].low + 0x1000, CODE, &addr))
			TEST_FAIL("%s: none", rows[i].what);
		check_free(&maps, rows[i].what, addr, CODE);
		const int64_t distance = (int64_t)(addr - rows[i].low);
		if (addr < rows[i].from || addr + CODE > rows[i].to || distance > INT32_MAX ||
		    distance < INT32_MIN)
			TEST_FAIL("%s: at 0x%" PRIx64, rows[i].what, addr);
		cprof_maps_deinit(&maps);
	}
}

TEST(heap_place_of_data_is_far_from_everything)
{
	static const char *const texts[] = { pie, fixed, crowded, coroutines };
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct cprof_maps maps;
		struct cprof_heap_space space;
		uint64_t addr = 0;
		parse(&maps, texts[i]);
		cprof_heap_space_init(&space, &maps, 0, 8 * MIB);
		CHECK(cprof_heap_place_data(&space, DATA, &addr));
		check_free(&maps, texts[i], addr, DATA);
		for (size_t m = 0; m < maps.n_sorted; m++) {
			const struct cprof_map *map = maps.sorted[m];
			const uint64_t distance =
				addr > map->end ? addr - map->end : map->start - addr - DATA;
			if (distance < 16 * 1024 * GIB)
				TEST_FAIL("text %zu: 0x%" PRIx64 " beside %s", i, addr, map->path);
		}
		cprof_maps_deinit(&maps);
	}
}

TEST(heap_place_gives_nothing_twice_and_nothing_where_there_is_nothing)
{
	/* One gap of 3 MiB, and half of it for code: data fits beside it, or not at all. */
	static const char full[] = "00001000-00100000 r-xp 00000000 08:01 7 /bin/x\n"
				   "00400000-7ffffffff000 r--p 00000000 08:01 9 /lib/large\n";
	struct cprof_maps maps;
	struct cprof_heap_space space;
	uint64_t code = 0, more = 0, data = 0;
	parse(&maps, full);
	maps.exe_inode = 0;
	cprof_heap_space_init(&space, &maps, 0, 8 * MIB);
	CHECK(cprof_heap_place_code(&space, 0x400000, 0x401000, CODE, &code));
	CHECK(cprof_heap_place_code(&space, 0x400000, 0x401000, CODE, &more));
	CHECK(code + CODE < more || more + CODE < code);
	CHECK(cprof_heap_place_data(&space, MIB, &data));
	check_free(&maps, "data", data, MIB);
	CHECK(data + MIB < code || code + CODE < data);
	CHECK(data + MIB < more || more + CODE < data);
	CHECK(!cprof_heap_place_data(&space, 3 * MIB, &data));
	CHECK(!cprof_heap_place_code(&space, 0x700000000000, 0x700000001000, CODE, &code));
	cprof_maps_deinit(&maps);
}
