/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/heap_size.h"

#include "tests/unit/test.h"

#define MIB  (1ull << 20)
#define NONE UINT64_MAX

/* A cgroup of which so much is left; 0: none. */
static struct cprof_head_room room_of(uint64_t left)
{
	return (struct cprof_head_room){
		.pid = 42,
		.cgroup = { .limited = left != 0, .limit_bytes = left },
		.available_bytes = NONE,
		.commit = { NONE, 0 },
		.address_space = { NONE, 0 },
		.data = { NONE, 0 },
		.locked = { NONE, 0 },
		.maps = { NONE, 0 },
	};
}

TEST(heap_size_is_as_large_as_the_target_affords)
{
	static const struct {
		const char *what;
		uint64_t left, period;
		uint32_t cells;
		uint64_t entries;
		bool touch;
	} rows[] = {
		{ "no limit", 0, 1 << 19, CPROF_SHIM_CELLS, 1 << 16, false },
		{ "no limit, every call", 0, 1, CPROF_SHIM_CELLS, 1 << 20, false },
		{ "a limit far away", 1 << 30, 1 << 19, CPROF_SHIM_NEAR, 1 << 16, true },
		{ "a limit far away, every call", 1 << 30, 1, CPROF_SHIM_NEAR, 1 << 18, true },
		{ "16 MiB left", 16 * MIB + MIB / 2, 1 << 19, CPROF_SHIM_NEAR, 1 << 16, true },
		{ "16 MiB left, every call", 16 * MIB + MIB / 2, 1, CPROF_SHIM_NEAR, 1 << 16,
		  true },
		{ "8 MiB left", 8 * MIB, 1 << 19, 32, 1 << 14, true },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct cprof_head_room room = room_of(rows[i].left);
		struct cprof_heap_size size;
		struct cprof_error *err =
			cprof_heap_size_choose(&room, rows[i].period, 1, 53248, 30, &size);
		if (err)
			TEST_FAIL("%s: %s", rows[i].what, err->message);
		if (size.cells != rows[i].cells || size.live_entries != rows[i].entries ||
		    size.touch != rows[i].touch)
			TEST_FAIL("%s: %u cells, %llu entries, %d", rows[i].what, size.cells,
				  (unsigned long long)size.live_entries, size.touch);
	}
	const struct cprof_head_room room = room_of(4 * MIB);
	struct cprof_heap_size size;
	struct cprof_error *err = cprof_heap_size_choose(&room, 1 << 19, 1, 53248, 30, &size);
	if (!err || err->code != CPROF_ERR_DENIED)
		TEST_FAIL("4 MiB left: %s", err ? err->message : "no error");
	cprof_error_free(err);
}

/* The shim tries four neighbours among the near ones, then four anywhere (shim.c, cell_at). */
TEST(heap_size_leaves_a_cell_open_wherever_the_shim_begins_to_look)
{
	static const uint32_t counts[] = { CPROF_SHIM_CELLS, CPROF_SHIM_NEAR, 32 };
	for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
		const struct cprof_heap_size size = { counts[c], 1 << 14, true };
		uint32_t open = 0;
		for (uint32_t i = 0; i < CPROF_SHIM_CELLS; i++)
			open += cprof_heap_size_cell_is_open(&size, i);
		CHECK_UINT(open, counts[c]);
		for (uint32_t start = 0; start < CPROF_SHIM_NEAR; start++) {
			uint32_t met = 0;
			for (uint32_t i = 0; i < 4; i++)
				met += cprof_heap_size_cell_is_open(&size,
								    (start + i) % CPROF_SHIM_NEAR);
			if (!met)
				TEST_FAIL("%u cells: none from %u on", counts[c], start);
		}
	}
}
