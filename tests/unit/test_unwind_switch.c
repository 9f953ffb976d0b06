/* SPDX-License-Identifier: Apache-2.0 */
/* The way back from another stack, read off the code behind the call. */
#include "symbolize/unwind/unwind_switch.h"

#include <errno.h>

#include "attach/perf/other_stack.h"
#include "tests/unit/test.h"

struct bytes {
	const char *at;
	size_t n;
};

static bool read_bytes(void *ctx, uint64_t addr, void *buf, size_t n)
{
	const struct bytes *bytes = ctx;
	if (addr > bytes->n || n > 64 - addr)
		return false;
	memset(buf, 0xcc, n);
	memcpy(buf, bytes->at + addr, n < bytes->n - addr ? n : bytes->n - addr);
	return true;
}

#define G_OLD  "\x48\x8b\x7c\x24\x30\x48\x8b\x77\x08\x48\x2b\x74\x24\x28"
#define G_NEW  "\x48\x8b\x7c\x24\x08\x48\x8b\x77\x08\x48\x2b\x34\x24"
#define SET_FS "\x64\x48\x89\x3c\x25\xf8\xff\xff\xff"
#define BACK   "\x48\x8d\x44\x24\x28\x48\x29\xe0"
#define END    "\x48\x89\xf4\x89\x44\x24\x18"

TEST(a_switch_of_stacks_is_read_off_the_code_behind_the_call)
{
#define CODE(text)                                                                                 \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}
	static const struct {
		const char *what;
		struct bytes code;
		struct bytes expr; /* .n 0: no such code */
		unsigned n_places;
	} cases[] = {
		{ "a goroutine's stack, Go 1.19", CODE(G_OLD SET_FS END "\xc3"),
		  CODE("\x77\x30\x06\x38\x22\x06\x77\x28\x06\x1c\x38\x22"), 0 },
		{ "a goroutine's stack with a frame pointer, Go 1.26",
		  CODE(G_NEW SET_FS END "\x5d\xc3"),
		  CODE("\x77\x08\x06\x38\x22\x06\x77\x00\x06\x1c\x40\x22"), 1 },
		{ "position-independent",
		  CODE("\x48\x8b\x0d\x01\x02\x03\x04" G_OLD "\x64\x48\x89\x39" END "\xc3"),
		  CODE("\x77\x30\x06\x38\x22\x06\x77\x28\x06\x1c\x38\x22"), 0 },
		{ "the thread's own stack", CODE("\x48\x8b\x74\x24\x28" END "\xc3"),
		  CODE("\x77\x28\x06\x38\x22"), 0 },
		{ "Go that C called",
		  CODE(BACK "\x64\x48\x8b\x34\x25\xf8\xff\xff\xff\x48\x89\xe7\x48\x01\xc7"),
		  CODE("\x77\x70\x06\x40\x22"), 1 },
		{ "Go that C called, position-independent",
		  CODE(BACK "\x48\xc7\xc1\xf8\xff\xff\xff\x64\x48\x8b\x31\x48\x89\xe7\x48\x01\xc7"),
		  CODE("\x77\x70\x06\x40\x22"), 1 },
		{ "a frame's size, and no more",
		  CODE(BACK "\x48\x89\xe7\x48\x01\xc7"),
		  { "", 0 },
		  0 },
		{ "something else is stored",
		  CODE(G_OLD "\x64\x48\x89\x3d" END "\xc3"),
		  { "", 0 },
		  0 },
		{ "it does not return", CODE(G_OLD SET_FS END "\x90"), { "", 0 }, 0 },
		{ "too far up the stack", CODE("\x48\x8b\x74\x24\x40" END "\xc3"), { "", 0 }, 0 },
		{ "cut off", CODE(G_OLD), { "", 0 }, 0 },
		{ "nothing", CODE(""), { "", 0 }, 0 },
	};
#undef CODE
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bytes code = cases[i].code;
		const struct cprof_memory memory = { .read = read_bytes, .ctx = &code };
		struct cprof_unwind_switch found;
		struct cprof_unwind_rule rule;
		bool is = cprof_unwind_switch_rule(&cprof_arch_x86_64, &memory, 0, &found, &rule);
		CHECK(is == (cases[i].expr.n != 0));
		if (!is)
			continue;
		CHECK_UINT(found.n, cases[i].expr.n);
		CHECK(memcmp(found.expr, cases[i].expr.at, found.n) == 0);
		CHECK_UINT(rule.n_places, cases[i].n_places);
		CHECK(rule.doubted);
	}
}

TEST(a_stack_pointer_that_is_kept_in_a_register_is_come_back_to)
{
#define CODE(text)                                                                                 \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}
#define TIME     "\x48\x8b\x04\x24\x48\x8b\x54\x24\x08"
#define BACK_R12 "\x4c\x89\xe4\x48\x8b\x4c\x24\x08"
	static const struct {
		const char *what;
		struct bytes code;
		int32_t offset; /* of the CFA from r12; 0: no such code */
	} cases[] = {
		{ "nanotime1, Go 1.18",
		  CODE(TIME BACK_R12 "\x48\x8b\x6c\x24\x10\x48\x83\xc4\x18\xc3"), 32 },
		{ "nanotime1, Go 1.26", CODE(TIME BACK_R12 "\x48\x83\xc4\x10\x5d\xc3"), 32 },
		{ "a frame is left before", CODE("\x48\x83\xc4\x10\x5d\xc3" BACK_R12), 0 },
		{ "it does not return", CODE(TIME BACK_R12 "\x48\x83\xc4\x10\x90"), 0 },
		{ "odd size", CODE(TIME BACK_R12 "\x48\x83\xc4\x11\xc3"), 0 },
		{ "no size", CODE(TIME BACK_R12 "\x48\x83\xc4\x00\xc3"), 0 },
		{ "negative size", CODE(TIME BACK_R12 "\x48\x83\xc4\x80\xc3"), 0 },
		{ "cut off", CODE(TIME BACK_R12 "\x48\x83"), 0 },
		{ "another register", CODE(TIME "\x4c\x89\xec\x48\x83\xc4\x10\x5d\xc3"), 0 },
		{ "nothing", CODE(""), 0 },
	};
#undef CODE
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bytes code = cases[i].code;
		const struct cprof_memory memory = { .read = read_bytes, .ctx = &code };
		struct cprof_unwind_rule rule = { .offset = 0 };
		bool is = cprof_unwind_switch_kept_rule(&cprof_arch_x86_64, &memory, 0, &rule);
		if (is != (cases[i].offset != 0) || rule.offset != cases[i].offset ||
		    rule.switches != is)
			TEST_FAIL("%s: %d, offset %d", cases[i].what, is, rule.offset);
	}
}

TEST(a_stack_of_gos_begins_where_a_call_does_not_return)
{
#define CODE(before, after) { before after, sizeof(before after) - 1 }, sizeof(before) - 1
#define MCALL               "\x50\x4c\x8b\x22\x41\xff\xd4"
	static const struct {
		const char *what;
		struct bytes code;
		size_t pc;
		bool root;
	} cases[] = {
		{ "mcall, Go 1.18", CODE(MCALL, "\x58\xe9\x57\x45\x00\x00\xc3"), true },
		{ "mcall, Go 1.26", CODE(MCALL, "\x90\x58\xe9\x24\x3d\x00\x00\x5d\xc3"), true },
		{ "mcall, Go 1.16",
		  CODE("\x50\x48\x89\xfa\x48\x8b\x3f\xff\xd7", "\x58\x48\x8d\x05"), true },
		{ "clone", CODE("\x41\xff\xd4", "\xbf\x6f\x00\x00\x00\xb8\x3c\x00\x00\x00\x0f\x05"),
		  true },
		{ "exit with another number",
		  CODE("\x41\xff\xd4", "\xbf\x01\x00\x00\x00\xb8\x3c\x00\x00\x00\x0f\x05"), false },
		{ "a closure's call that returns", CODE("\x4c\x8b\x22\x41\xff\xd4", "\x58\xc3"),
		  false },
		{ "the same call with something else behind it", CODE(MCALL, "\x48\x89\xc0"),
		  false },
		{ "nothing before it", CODE("", "\x58\xc3"), false },
		{ "nothing behind it", CODE(MCALL, ""), false },
	};
#undef MCALL
#undef CODE
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bytes code = cases[i].code;
		const struct cprof_memory memory = { .read = read_bytes, .ctx = &code };
		if (cprof_unwind_switch_is_root(&cprof_arch_x86_64, &memory, cases[i].pc) !=
		    cases[i].root)
			TEST_FAIL("%s", cases[i].what);
	}
}

/* ---- looking for such calls ---- */

#define CALL   "\xff\xd0"
#define NOPS16 "\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90"
#define PIE    "\x48\x8b\x0d\x01\x02\x00\x00" G_OLD "\x64\x48\x89\x39" END "\xc3"

TEST(calls_out_of_goroutines_are_found_in_code)
{
#define CODE(text) text, sizeof(text) - 1
	static const struct {
		const char *what;
		const char *code;
		size_t n;
		size_t found;
		struct cprof_switch_site first; /* .ret as an offset */
	} cases[] = {
		{ "Go 1.19",
		  CODE(NOPS16 CALL G_OLD SET_FS END "\xc3"),
		  1,
		  { .ret = 18, .owner = 0x38, .depth = 0x30, .high = 8, .own = (uint64_t)-8 } },
		{ "at the very start, Go 1.26",
		  CODE(G_NEW SET_FS END "\x5d\xc3"),
		  1,
		  { .ret = 0, .owner = 0x10, .depth = 8, .high = 8, .own = (uint64_t)-8 } },
		{ "position-independent: where it is kept stands beside the code",
		  CODE(NOPS16 CALL PIE NOPS16),
		  1,
		  { .ret = 18,
		    .owner = 0x38,
		    .depth = 0x30,
		    .high = 8,
		    .own_in_memory = true,
		    .own = 0x1000 + 18 + 7 + 0x201 } },
		{ "two",
		  CODE(CALL G_OLD SET_FS END "\xc3" NOPS16 CALL PIE),
		  2,
		  { .ret = 2, .owner = 0x38, .depth = 0x30, .high = 8, .own = (uint64_t)-8 } },
		{ "on the thread's own stack", CODE("\x48\x8b\x74\x24\x28" END "\xc3"), 0, { 0 } },
		{ "its end alone", CODE(END "\xc3"), 0, { 0 } },
		{ "cut off", CODE(CALL G_OLD SET_FS "\x48\x89\xf4\x89\x44\x24"), 0, { 0 } },
		{ "cut off before ret", CODE(CALL G_OLD SET_FS END), 0, { 0 } },
		{ "nothing", CODE(""), 0, { 0 } },
	};
#undef CODE
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cprof_switch_site sites[3];
		const struct cprof_switch_site *want = &cases[i].first;
		size_t n = cprof_unwind_switch_sites((const uint8_t *)cases[i].code, cases[i].n,
						     0x1000, sites, 3);
		CHECK_UINT(n, cases[i].found);
		if (!n || n != cases[i].found)
			continue;
		CHECK_UINT(sites[0].ret, 0x1000 + want->ret);
		CHECK_UINT(sites[0].owner, want->owner);
		CHECK_UINT(sites[0].depth, want->depth);
		CHECK_UINT(sites[0].high, want->high);
		CHECK(sites[0].own_in_memory == want->own_in_memory);
		CHECK_UINT(sites[0].own, want->own);
	}
}

TEST(no_more_calls_out_of_goroutines_are_found_than_there_is_room_for)
{
	static const char two[] = CALL PIE NOPS16 CALL PIE;
	struct cprof_switch_site sites[2] = { { .ret = 0 }, { .ret = 7 } };
	CHECK_UINT(cprof_unwind_switch_sites((const uint8_t *)two, sizeof(two) - 1, 0, sites, 1),
		   1);
	CHECK_UINT(sites[1].ret, 7);
}

TEST(a_program_that_is_refused_for_its_calls_is_tried_with_one_and_with_none)
{
	struct cprof_other_switches switches = { .n = 4 };
	CHECK(!cprof_other_switches_fewer(&switches, 0));
	CHECK(!cprof_other_switches_fewer(&switches, EPERM));
	CHECK_UINT(switches.n, 4);
	CHECK(cprof_other_switches_fewer(&switches, EFAULT));
	CHECK_UINT(switches.n, 1);
	CHECK(cprof_other_switches_fewer(&switches, E2BIG));
	CHECK_UINT(switches.n, 0);
	CHECK(!cprof_other_switches_fewer(&switches, E2BIG));
}
