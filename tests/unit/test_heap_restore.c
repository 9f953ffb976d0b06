/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/heap_restore.h"

#include "tests/unit/test.h"

#define ROW(first)                                                                                 \
	{                                                                                          \
		.addr = 0x1000, .len = 5, .original = { first, 0x54, 0x55, 0x53, 0x90, 1, 2, 3 },  \
		.patched = {                                                                       \
			0xe9,                                                                      \
			0x10,                                                                      \
			0x20,                                                                      \
			0x30,                                                                      \
			0x40,                                                                      \
			1,                                                                         \
			2,                                                                         \
			3                                                                          \
		}                                                                                  \
	}

static const struct cprof_shim_patch usual = ROW(0x41), was_jump = ROW(0xe9);

TEST(heap_restore_knows_its_jump_with_and_without_somebody_elses_uprobe)
{
	static const struct {
		const char *what;
		const struct cprof_shim_patch *row;
		uint8_t now[5];
		bool owns;
		size_t foreign;
	} rows[] = {
		{ "our jump", &usual, { 0xe9, 0x10, 0x20, 0x30, 0x40 }, true, 5 },
		{ "a uprobe on it", &usual, { 0xcc, 0x10, 0x20, 0x30, 0x40 }, true, 0 },
		{ "one that went", &usual, { 0x41, 0x10, 0x20, 0x30, 0x40 }, true, 0 },
		{ "in its middle", &usual, { 0xe9, 0x10, 0xcc, 0x30, 0x40 }, true, 2 },
		{ "at its end, gone", &usual, { 0xe9, 0x10, 0x20, 0x30, 0x90 }, true, 4 },
		{ "two", &usual, { 0xcc, 0x10, 0xcc, 0x30, 0x40 }, false, 0 },
		{ "another jump", &usual, { 0xe9, 0x11, 0x20, 0x30, 0x40 }, false, 0 },
		{ "another byte", &usual, { 0x90, 0x10, 0x20, 0x30, 0x40 }, false, 0 },
		{ "a jump for a jump", &was_jump, { 0xe9, 0x10, 0x20, 0x30, 0x40 }, true, 0 },
		{ "a uprobe on that", &was_jump, { 0xcc, 0x10, 0x20, 0x30, 0x40 }, true, 0 },
		{ "and another", &was_jump, { 0xcc, 0x10, 0x20, 0xcc, 0x40 }, false, 0 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t foreign;
		bool owns = cprof_heap_restore_owns(rows[i].row, rows[i].now, &foreign);
		if (owns != rows[i].owns || (owns && foreign != rows[i].foreign))
			TEST_FAIL("%s: %d, byte %zu", rows[i].what, owns, foreign);
	}
}
