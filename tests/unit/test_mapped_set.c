/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <sys/mman.h>

#include "attach/heap/mmap/mapped_set.h"
#include "attach/heap/mmap/mmap_calls.h"
#include "tests/unit/test.h"

struct step {
	char what; /* + or -, 0: the end */
	uint64_t start, end;
	uint32_t call;
};

static void run(const struct step *steps, struct cprof_mapped_set *set)
{
	for (; steps->what; steps++) {
		if (steps->what == '+')
			CHECK(!cprof_mapped_set_add(set, steps->start, steps->end, steps->call));
		else
			CHECK(!cprof_mapped_set_remove(set, steps->start, steps->end));
	}
}

static void text_of(const struct cprof_mapped_set *set, char *text, size_t n)
{
	size_t at = 0;
	*text = 0;
	for (size_t i = 0; i < set->n && at < n; i++)
		at += (size_t)snprintf(text + at, n - at, "%llu-%llu:%u ",
				       (unsigned long long)set->pieces[i].start,
				       (unsigned long long)set->pieces[i].end, set->pieces[i].call);
}

TEST(mapped_set_keeps_what_is_left_of_each_call)
{
	static const struct {
		const char *what;
		struct step steps[6];
		const char *want;
	} cases[] = {
		{ "nothing", { { '-', 1, 9, 0 } }, "" },
		{ "one", { { '+', 1, 9, 7 } }, "1-9:7 " },
		{ "sorted", { { '+', 5, 9, 1 }, { '+', 1, 3, 2 } }, "1-3:2 5-9:1 " },
		{ "neighbours stay apart", { { '+', 1, 3, 1 }, { '+', 3, 5, 1 } }, "1-3:1 3-5:1 " },
		{ "all of it goes", { { '+', 1, 9, 1 }, { '-', 1, 9, 0 } }, "" },
		{ "more than it goes", { { '+', 3, 5, 1 }, { '-', 1, 9, 0 } }, "" },
		{ "its beginning", { { '+', 1, 9, 1 }, { '-', 0, 4, 0 } }, "4-9:1 " },
		{ "its end", { { '+', 1, 9, 1 }, { '-', 4, 12, 0 } }, "1-4:1 " },
		{ "its middle", { { '+', 1, 9, 1 }, { '-', 4, 6, 0 } }, "1-4:1 6-9:1 " },
		{ "over several",
		  { { '+', 1, 3, 1 }, { '+', 4, 6, 2 }, { '+', 7, 9, 3 }, { '-', 2, 8, 0 } },
		  "1-2:1 8-9:3 " },
		{ "fixed over the middle",
		  { { '+', 1, 9, 1 }, { '+', 4, 6, 2 } },
		  "1-4:1 4-6:2 6-9:1 " },
		{ "fixed over all", { { '+', 3, 5, 1 }, { '+', 1, 9, 2 } }, "1-9:2 " },
		{ "fixed over the same", { { '+', 3, 5, 1 }, { '+', 3, 5, 2 } }, "3-5:2 " },
		{ "fixed over an end and a beginning",
		  { { '+', 1, 4, 1 }, { '+', 6, 9, 2 }, { '+', 3, 7, 3 } },
		  "1-3:1 3-7:3 7-9:2 " },
		{ "beside it", { { '+', 3, 5, 1 }, { '-', 5, 9, 0 }, { '-', 1, 3, 0 } }, "3-5:1 " },
		{ "an empty range",
		  { { '+', 3, 5, 1 }, { '-', 4, 4, 0 }, { '+', 4, 4, 2 } },
		  "3-5:1 " },
		{ "one that goes round",
		  { { '+', 3, 5, 1 }, { '-', 4, 2, 0 }, { '+', 9, 1, 2 } },
		  "3-5:1 " },
		{ "the last page",
		  { { '+', UINT64_MAX - 1, UINT64_MAX, 1 }, { '-', 0, UINT64_MAX, 0 } },
		  "" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cprof_mapped_set set = { 0 };
		char text[256];
		run(cases[i].steps, &set);
		text_of(&set, text, sizeof(text));
		if (strcmp(text, cases[i].want) != 0)
			TEST_FAIL("%s: %s, not %s", cases[i].what, text, cases[i].want);
		cprof_mapped_set_deinit(&set);
	}
}

/* Against a page table that is as plain as can be. */
TEST(mapped_set_is_right_after_any_calls)
{
	enum { PAGES = 64 };
	uint32_t truth[PAGES] = { 0 }, x = 12345;
	struct cprof_mapped_set set = { 0 };
	for (uint32_t turn = 1; turn < 20000; turn++) {
		x = x * 1103515245 + 12345;
		const uint32_t start = (x >> 8) % PAGES,
			       end = start + (x >> 20) % (PAGES - start + 1);
		const bool map = x >> 30 & 1;
		for (uint32_t i = start; i < end; i++)
			truth[i] = map ? turn : 0;
		CHECK(!(map ? cprof_mapped_set_add(&set, start, end, turn)
			    : cprof_mapped_set_remove(&set, start, end)));
		uint32_t got[PAGES] = { 0 };
		for (size_t i = 0; i < set.n; i++) {
			CHECK(set.pieces[i].start < set.pieces[i].end &&
			      set.pieces[i].end <= PAGES);
			CHECK(!i || set.pieces[i - 1].end <= set.pieces[i].start);
			for (uint64_t page = set.pieces[i].start; page < set.pieces[i].end; page++)
				got[page] = set.pieces[i].call;
		}
		CHECK(memcmp(got, truth, sizeof(got)) == 0);
	}
	cprof_mapped_set_deinit(&set);
}

/* Registers by their DWARF numbers: rdi 5, rsi 4, rdx 1, r10, r8, r9; rax 0. */
static struct cprof_regs regs_of(uint64_t rax, uint64_t rdi, uint64_t rsi, uint64_t rdx,
				 uint64_t r10)
{
	struct cprof_regs regs = { 0 };
	regs.r[0] = rax;
	regs.r[5] = rdi;
	regs.r[4] = rsi;
	regs.r[1] = rdx;
	regs.r[10] = r10;
	return regs;
}

#define MAP   CPROF_MMAP_CALL_MAP
#define UNMAP CPROF_MMAP_CALL_UNMAP
#define REMAP CPROF_MMAP_CALL_REMAP
#define BRK   CPROF_MMAP_CALL_BRK
#define SHMAT CPROF_MMAP_CALL_ATTACH
#define SHMDT CPROF_MMAP_CALL_DETACH

TEST(mmap_call_reads_what_a_call_did_and_believes_nothing_else)
{
	static const struct {
		const char *what;
		enum cprof_mmap_call_kind kind;
		uint64_t rax, rdi, rsi, rdx, r10;
		bool ok;
		uint64_t start, end, old_start, old_end;
	} cases[] = {
		{ "mmap", MAP, 0x7000, 0, 0x2000, 3, MAP_ANONYMOUS, true, 0x7000, 0x9000, 0, 0 },
		{ "whole pages", MAP, 0x7000, 0, 0x2001, 3, 0, true, 0x7000, 0xa000, 0, 0 },
		{ "failed", MAP, (uint64_t)-12, 0, 0x2000, 3, 0, false, 0, 0, 0, 0 },
		{ "no page's beginning", MAP, 0x7001, 0, 0x2000, 3, 0, false, 0, 0, 0, 0 },
		{ "longer than there are addresses", MAP, 0x7000, 0, UINT64_MAX, 3, 0, false, 0, 0,
		  0, 0 },
		{ "the kernel's address", MAP, 0xffff800000000000, 0, 0x2000, 3, 0, false, 0, 0, 0,
		  0 },
		{ "munmap, whatever is in rax", UNMAP, (uint64_t)-38, 0x7000, 0x1000, 0, 0, true,
		  0x7000, 0x8000, 0, 0 },
		{ "munmap of nonsense", UNMAP, 0, 0x7123, 0x1000, 0, 0, false, 0, 0, 0, 0 },
		{ "mremap", REMAP, 0x9000, 0x7000, 0x1000, 0x3000, MREMAP_MAYMOVE, true, 0x9000,
		  0xc000, 0x7000, 0x8000 },
		{ "mremap that leaves the old one", REMAP, 0x9000, 0x7000, 0x1000, 0x1000,
		  MREMAP_MAYMOVE | MREMAP_DONTUNMAP, true, 0x9000, 0xa000, 0x7000, 0x7000 },
		{ "mremap that failed", REMAP, (uint64_t)-14, 0x7000, 0x1000, 0x3000, 0, false, 0,
		  0, 0, 0 },
		{ "brk", BRK, 0x123456, 0x123456, 0, 0, 0, true, 0, 0x124000, 0, 0 },
		{ "shmat, of which it is not said how much", SHMAT, 0x7000, 5, 0, 0, 0, true,
		  0x7000, 0x7000, 0, 0 },
		{ "shmat that failed", SHMAT, (uint64_t)-22, 5, 0, 0, 0, false, 0, 0, 0, 0 },
		{ "shmat to no page's beginning", SHMAT, 0x7008, 5, 0, 0, 0, false, 0, 0, 0, 0 },
		{ "shmdt, whatever is in rax", SHMDT, (uint64_t)-38, 0x7000, 0, 0, 0, true, 0x7000,
		  0x7000, 0, 0 },
		{ "shmdt of nonsense", SHMDT, 0, 0x7123, 0, 0, 0, false, 0, 0, 0, 0 },
		{ "a break that cannot be", BRK, 0xffff800000000000, 0, 0, 0, 0, false, 0, 0, 0,
		  0 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct cprof_regs regs = regs_of(cases[i].rax, cases[i].rdi, cases[i].rsi,
						       cases[i].rdx, cases[i].r10);
		struct cprof_mmap_call call = { 0 };
		if (cprof_mmap_call_read(cases[i].kind, &regs, &call) != cases[i].ok)
			TEST_FAIL("%s: taken for %s", cases[i].what, cases[i].ok ? "none" : "one");
		if (call.start != cases[i].start || call.end != cases[i].end ||
		    call.old_start != cases[i].old_start || call.old_end != cases[i].old_end)
			TEST_FAIL("%s: %llx-%llx", cases[i].what, (unsigned long long)call.start,
				  (unsigned long long)call.end);
	}
}
