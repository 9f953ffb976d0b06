/* SPDX-License-Identifier: Apache-2.0 */
/* Which stacks are known to be mapped, and which words in memory are an interrupted context. */
#include "attach/heap/inject/heap_scan.h"
#include "attach/heap/inject/heap_threads.h"
#include "tests/unit/test.h"

#define GUARD  0x7f0000000000ull
#define BLOCK  0x7f0000001000ull
#define TP     0x7f0000010700ull /* in the block's last page but one */
#define END    0x7f0000012000ull
#define RECORD 210u /* words from the thread pointer to the record, as in some C library */

/* A thread's record at its thread pointer, the rest of memory is unreadable. */
static uint64_t record[288];

static bool read_record(void *ctx, uint64_t addr, void *buf, size_t n)
{
	(void)ctx;
	if (addr < TP || addr + n > TP + sizeof(record))
		return false;
	memcpy(buf, (const uint8_t *)record + (addr - TP), n);
	return true;
}

#define GUARDED                                                                                    \
	"7f0000000000-7f0000001000 ---p 00000000 00:00 0\n"                                        \
	"7f0000001000-7f0000012000 rw-p 00000000 00:00 0\n"
#define JAVA                                                                                       \
	"7f0000000000-7f0000001000 ---p 00000000 00:00 0\n"                                        \
	"7f0000001000-7f0000005000 ---p 00000000 00:00 0\n"                                        \
	"7f0000005000-7f0000012000 rw-p 00000000 00:00 0\n"
#define BARE   "7f0000001000-7f0000012000 rw-p 00000000 00:00 0\n"
#define JOINED "7eff00000000-7f0000012000 rw-p 00000000 00:00 0\n"
#define MAIN   "7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]\n"
#define SPLIT                                                                                      \
	GUARDED "7ffc00000000-7ffc00008000 rw-p 00000000 00:00 0                          [stack]\n"

static const struct row {
	const char *what, *maps;
	uint64_t sp, block, bytes; /* the record; block 0: none */
	uint64_t start, end;       /* want; end 0: not known */
	bool has_record;
} rows[] = {
	{ "the kernel's stack", MAIN, 0x7ffc00020010, 0, 0, 0x7ffc00000000, 0x7ffc00021000, false },
	{ "a thread's, its guard in the block", GUARDED, 0x7f000000f000, GUARD, END - GUARD, BLOCK,
	  TP, true },
	{ "more guards above the first", JAVA, 0x7f000000f000, GUARD, END - GUARD, 0x7f0000005000,
	  TP, true },
	{ "no guard", BARE, 0x7f000000f000, BLOCK, END - BLOCK, 0, 0, false },
	{ "a guard that is not in the block", GUARDED, 0x7f000000f000, BLOCK, END - BLOCK, 0, 0,
	  false },
	{ "no record", GUARDED, 0x7f000000f000, 0, 0, 0, 0, false },
	{ "a coroutine's stack in one mapping with the thread's storage", JOINED, 0x7effffff0000, 0,
	  0, 0, 0, false },
	{ "the same, with a record of another block", JOINED, 0x7effffff0000, GUARD, END - GUARD, 0,
	  0, false },
	{ "a block that ends far above the thread pointer", GUARDED, 0x7f000000f000, GUARD,
	  END - GUARD + 0x10000, 0, 0, false },
	{ "a pointer and a number that is no size", GUARDED, 0x7f000000f000, GUARD, 0x7f00000000000,
	  0, 0, false },
	{ "the stack pointer elsewhere", GUARDED, 0x7e0000000000, GUARD, END - GUARD, 0, 0, false },
	{ "the stack pointer in the guard", GUARDED, 0x7f0000000800, GUARD, END - GUARD, 0, 0,
	  false },
	{ "on the kernel's stack while another is near", SPLIT, 0x7ffc00004000, 0, 0,
	  0x7ffc00000000, 0x7ffc00008000, false },
};

TEST(heap_threads_know_a_stack_by_its_kind_and_never_by_its_mapping_alone)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct cprof_maps maps;
		struct cprof_heap_stack stack = { 0 };
		cprof_maps_init(&maps, 0, (struct cprof_memory){ read_record, NULL });
		CHECK(!cprof_maps_parse(&maps, row->maps, strlen(row->maps)));
		memset(record, 0, sizeof(record));
		record[0] = TP;
		record[RECORD] = row->block;
		record[RECORD + 1] = row->bytes;
		bool known = cprof_heap_threads_stack(&maps, row->sp, TP, &stack);
		if (known != (row->end != 0) || stack.start != row->start ||
		    stack.end != row->end ||
		    stack.record != (row->has_record ? TP + 8 * RECORD : 0) ||
		    (row->has_record &&
		     (stack.block != row->block || stack.block_bytes != row->bytes)))
			TEST_FAIL("%s: %d, [%" PRIx64 ", %" PRIx64 "), record at %" PRIx64,
				  row->what, known, stack.start, stack.end, stack.record);
		cprof_maps_deinit(&maps);
	}
}

TEST(heap_scan_tells_a_context_from_what_else_lies_about)
{
	static const struct cprof_shim_range stubs = { 0x10000, 0x20000 },
					     image = { 0x8000, 0x30000 };
	static const uint64_t trampolines[] = { 0x10040, 0x10080, 0x100c0 };
	const struct cprof_heap_scan scan = { .alone = &stubs,
					      .n_alone = 1,
					      .in_context = &image,
					      .n_in_context = 1,
					      .but = trampolines,
					      .n_but = 3 };
	static const struct {
		const char *what;
		uint64_t words[4];
		bool found;
	} cases[] = {
		{ "nothing", { 1, 2, 3, 4 }, false },
		{ "a place in a stub", { 1, 2, 3, 0x10041 }, true },
		{ "the first", { 0x10000, 0, 0, 0 }, true },
		{ "the end is outside", { 0x20000, 0, 0, 0 }, false },
		{ "where the slow path goes to", { 0x10040, 0x10080, 0x100c0, 0 }, false },
		{ "the same as a context", { 0x10080, 0x246, 0x2b000000000033, 0 }, true },
		{ "a return address into the slow path", { 0x21000, 7, 8, 9 }, false },
		{ "the same as a context", { 0, 0x21000, 0x202, 0x33 }, true },
		{ "flags that cannot be", { 0x21000, 0x7f0000000202, 0x33, 0 }, false },
		{ "another selector", { 0x21000, 0x202, 0x23, 0 }, false },
		{ "cut off", { 0, 0, 0x21000, 0x202 }, false },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cprof_heap_scan_words(&scan, cases[i].words, 4) != cases[i].found)
			TEST_FAIL("%s", cases[i].what);
	}
}

TEST(heap_scan_is_for_those_who_catch_signals_that_may_switch_fibers)
{
	static const struct {
		const char *text;
		bool catches;
	} cases[] = {
		{ "Name:\tx\nSigCgt:\t0000000000000000\n", false },
		{ "Name:\tx\nSigCgt:\t0000000180014003\n",
		  false },                                         /* glibc's two, INT, TERM, ... */
		{ "Name:\tx\nSigCgt:\t0000000000002000\n", true }, /* ALRM */
		{ "Name:\tx\nSigCgt:\t0000000002000000\n", true }, /* VTALRM */
		{ "Name:\tx\nSigCgt:\t0000000000400000\n", true }, /* URG */
		{ "Name:\tx\nSigCgt:\t8000000000000000\n", true },
		{ "Name:\tx\n", true },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cprof_heap_scan_catches(cases[i].text) != cases[i].catches)
			TEST_FAIL("%s", cases[i].text);
	}
}
