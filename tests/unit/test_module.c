/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/module.h"

#include <elf.h>
#include <sys/mman.h>

#include "tests/unit/test.h"

/* As lld lays programs out: no segment begins at the start of a page, in the file or in memory. */
TEST(module_converts_addresses_both_ways_where_segments_begin_in_the_middle_of_a_page)
{
	struct cprof_segment segments[] = {
		{ .file_addr = 0, .offset = 0, .file_size = 0x1b808, .flags = PF_R },
		{ .file_addr = 0x1c810,
		  .offset = 0x1b810,
		  .file_size = 0x531a0,
		  .flags = PF_R | PF_X },
	};
	const struct cprof_module module = { .segments = segments, .n_segments = 2 };
	const struct cprof_map map = { .start = 0x562553150000,
				       .end = 0x5625531a4000,
				       .offset = 0x1b000,
				       .prot = PROT_READ | PROT_EXEC };
	uint64_t addr, file_addr;
	CHECK(cprof_module_run_time(&module, &map, 0x30ad0, &addr));
	CHECK_UINT(addr, 0x562553150000 + 0x2fad0 - 0x1b000);
	CHECK(cprof_module_file_addr(&module, &map, addr, &file_addr));
	CHECK_UINT(file_addr, 0x30ad0);
	CHECK(!cprof_module_run_time(&module, &map, 0x100, &addr));   /* in another mapping */
	CHECK(!cprof_module_run_time(&module, &map, 0x1c80f, &addr)); /* in no segment */
	CHECK(!cprof_module_run_time(&module, &map, 0x90000, &addr));
}
