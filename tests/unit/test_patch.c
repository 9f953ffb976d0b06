/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/patch.h"

#include "tests/unit/test.h"

#define ADDR       0x7f0000001000ull
#define STUB       0x7f0000100000ull
#define TRAMPOLINE 0x7f0000100100ull
#define RDI        1 /* the argument that the stub reads */

static struct cprof_error *plan_at(const uint8_t *code, size_t n, uint64_t addr,
				   struct cprof_patch *patch)
{
	uint8_t function[64];
	memset(function, 0x90, sizeof(function));
	memcpy(function, code, n);
	return cprof_patch_plan(function, sizeof(function), addr, STUB, TRAMPOLINE, RDI, NULL,
				patch);
}

static int64_t rel32(const uint8_t *bytes)
{
	int32_t value;
	memcpy(&value, bytes, sizeof(value));
	return value;
}

TEST(patch_relocates_the_first_instructions_of_real_allocators)
{
	/* clang-format off */
	static const struct {
		const char *what;
		uint8_t code[24];
		size_t n;
		uint8_t stays; /* bytes before the jump */
		uint8_t undo_len;
		uint8_t displaced;
		size_t trampoline_len; /* with the jump back */
	} rows[] = {
		{ "glibc malloc: push r12, push rbp, push rbx, mov rdi,rbx",
		  { 0x41, 0x54, 0x55, 0x53, 0x48, 0x89, 0xfb }, 7, 2, 5, 5, 12 },
		{ "glibc free: test rdi,rdi; je rel32",
		  { 0x48, 0x85, 0xff, 0x0f, 0x84, 0x10, 0x01, 0, 0 }, 9, 3, 0, 6, 14 },
		{ "jemalloc malloc: cmp imm32,rdi; ja rel32",
		  { 0x48, 0x81, 0xff, 0, 0x10, 0, 0, 0x0f, 0x87, 0, 1, 0, 0 }, 13, 7, 0, 6, 18 },
		{ "glibc memalign: cmpb 0,rip-relative; je rel8; 3 more",
		  { 0x80, 0x3d, 0x10, 0, 0, 0, 0, 0x74, 0x40, 0x48, 0x89, 0xfb }, 12, 7, 0, 5, 7 + 6 + 3 + 5 },
		{ "test rdi,rdi; je to just behind",
		  { 0x48, 0x85, 0xff, 0x74, 0x03, 0xc6, 0x07, 0, 0xc3 }, 9, 3, 0, 5, 3 + 6 + 3 + 5 },
		{ "musl malloc: jmp rel32", { 0xe9, 0, 1, 0, 0 }, 5, 0, 0, 5, 10 },
		{ "mimalloc free: mov edi,ecx, test, je rel8 grows to rel32, 1 more",
		  { 0x89, 0xf9, 0x85, 0xff, 0x74, 0x5d, 0x55 }, 7, 2, 0, 5, 2 + 2 + 6 + 1 + 5 },
		{ "sub 0x18,rsp; mov", { 0x48, 0x83, 0xec, 0x18, 0xb8, 1, 0, 0, 0 }, 9, 4, 5, 5, 4 + 5 + 5 },
		{ "sub 0x188,rsp; mov", { 0x48, 0x81, 0xec, 0x88, 1, 0, 0, 0xb8, 1, 0, 0, 0 }, 12, 7, 8, 5, 7 + 5 + 5 },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_patch patch;
		struct cprof_error *err = plan_at(rows[i].code, rows[i].n, ADDR, &patch);
		if (err)
			TEST_FAIL("%s: %s", rows[i].what, err->message);
		CHECK_UINT(patch.addr, ADDR + rows[i].stays);
		CHECK_UINT(patch.undo_len, rows[i].undo_len);
		CHECK(!patch.at_entry);
		CHECK_UINT(patch.displaced, rows[i].displaced);
		CHECK_UINT(patch.trampoline_len, rows[i].trampoline_len);
		CHECK_UINT(patch.patched[0], 0xe9);
		CHECK_UINT(patch.addr + 5 + (uint64_t)rel32(patch.patched + 1),
			   STUB - patch.undo_len);
		/* The last thing in the trampoline leads behind what gave way. */
		CHECK_UINT(patch.trampoline[patch.trampoline_len - 5], 0xe9);
		CHECK_UINT(TRAMPOLINE + patch.trampoline_len +
				   (uint64_t)rel32(patch.trampoline + patch.trampoline_len - 4),
			   patch.addr + patch.displaced);
		CHECK(memcmp(patch.original, rows[i].code + rows[i].stays, 5) == 0);
		CHECK(memcmp(patch.patched + 5, patch.original + 5, 3) == 0);
	}
}

TEST(patch_takes_the_entry_where_the_first_instruction_cannot_stay)
{
	/* clang-format off */
	static const struct {
		const char *what;
		uint8_t code[16];
		size_t n;
		uint64_t addr;
	} rows[] = {
		{ "add 15,rdi: not the same the second time", { 0x48, 0x83, 0xc7, 0x0f, 0x55, 0x53 }, 6, ADDR },
		{ "mov 8(rax),rax: reads what it writes", { 0x48, 0x8b, 0x40, 0x08, 0x55, 0x53 }, 6, ADDR },
		{ "xor edi,edi: the stub wants to know it", { 0x31, 0xff, 0x55, 0x53, 0x48, 0x89, 0xfb }, 7, ADDR },
		{ "mov rsi,rdi: the same", { 0x48, 0x89, 0xf7, 0x55, 0x53 }, 5, ADDR },
		{ "mov rdi,rbx: its caller wants it back", { 0x48, 0x89, 0xfb, 0x55, 0x53 }, 5, ADDR },
		{ "mov rsp,rbp", { 0x48, 0x89, 0xe5, 0x55, 0x53 }, 5, ADDR },
		{ "mov 1,al: not all of it", { 0xb0, 0x01, 0x55, 0x53, 0x90 }, 5, ADDR },
		{ "mov rdi,(rsi): memory", { 0x48, 0x89, 0x3e, 0x55, 0x53 }, 5, ADDR },
		{ "push 0", { 0x6a, 0x00, 0x55, 0x53, 0x90 }, 5, ADDR },
		{ "add 8,rsp", { 0x48, 0x83, 0xc4, 0x08, 0x55, 0x53 }, 6, ADDR },
		{ "sub rdi,rsp", { 0x48, 0x29, 0xfc, 0x55, 0x53 }, 5, ADDR },
		{ "pxor xmm0,xmm0", { 0x66, 0x0f, 0xef, 0xc0, 0x55, 0x53 }, 6, ADDR },
		{ "a page ends behind it", { 0x55, 0x53, 0x48, 0x89, 0xfb }, 5, ADDR + 0xffb },
		{ "cmp imm32,rdi; inc rdi; a loop back to that",
		  { 0x48, 0x81, 0xff, 0, 0x10, 0, 0, 0x48, 0xff, 0xc7, 0x90, 0x90, 0x75, 0xf9 }, 14, ADDR },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_patch patch;
		struct cprof_error *err = plan_at(rows[i].code, rows[i].n, rows[i].addr, &patch);
		if (err)
			TEST_FAIL("%s: %s", rows[i].what, err->message);
		if (patch.addr != rows[i].addr || !patch.at_entry || patch.undo_len)
			TEST_FAIL("%s: patched at 0x%" PRIx64, rows[i].what, patch.addr);
		CHECK(memcmp(patch.trampoline, rows[i].code, 4) == 0);
	}
}

TEST(patch_goes_by_what_the_stub_wants_to_know)
{
	struct cprof_patch patch;
	uint8_t code[32] = { 0x31, 0xc9, 0x55, 0x53, 0x48, 0x89, 0xfb }; /* xor ecx,ecx */
	CHECK(!cprof_patch_plan(code, sizeof(code), ADDR, STUB, TRAMPOLINE, 1 | 2 | 4, NULL,
				&patch));
	CHECK_UINT(patch.addr, ADDR + 2);
	CHECK(!cprof_patch_plan(code, sizeof(code), ADDR, STUB, TRAMPOLINE, 8, NULL, &patch));
	CHECK_UINT(patch.addr, ADDR);
}

TEST(patch_keeps_where_branches_and_data_lead_to)
{
	struct cprof_patch patch;
	const uint8_t jcc[] = { 0x48, 0x85, 0xff, 0x74, 0x40 };
	CHECK(!plan_at(jcc, sizeof(jcc), ADDR, &patch));
	CHECK_UINT(patch.trampoline[3], 0x0f);
	CHECK_UINT(patch.trampoline[4], 0x84);
	CHECK_UINT(TRAMPOLINE + 9 + (uint64_t)rel32(patch.trampoline + 5), ADDR + 5 + 0x40);

	const uint8_t data[] = { 0x48, 0x8b, 0x05, 0x00, 0x20, 0x00, 0x00 };
	CHECK(!plan_at(data, sizeof(data), ADDR, &patch));
	CHECK_UINT(TRAMPOLINE + 7 + (uint64_t)rel32(patch.trampoline + 3), ADDR + 7 + 0x2000);
}

static uint64_t pushed(const uint8_t *bytes)
{
	uint32_t low, high;
	CHECK_UINT(bytes[0], 0x68);
	CHECK(memcmp(bytes + 5, "\xc7\x44\x24\x04", 4) == 0);
	memcpy(&low, bytes + 1, sizeof(low));
	memcpy(&high, bytes + 9, sizeof(high));
	return (uint64_t)high << 32 | low;
}

TEST(patch_lets_a_call_return_to_the_function_itself_and_not_to_us)
{
	struct cprof_patch patch;
	const uint8_t direct[] = { 0x48, 0x83, 0xec, 0x08, 0xe8, 0x00, 0x01, 0x00, 0x00 };
	CHECK(!plan_at(direct, sizeof(direct), ADDR, &patch));
	CHECK_UINT(patch.displaced, 5);
	CHECK_UINT(pushed(patch.trampoline + 4), ADDR + 9);
	CHECK_UINT(patch.trampoline[17], 0xe9);
	CHECK_UINT(TRAMPOLINE + 22 + (uint64_t)rel32(patch.trampoline + 18), ADDR + 9 + 0x100);

	/* call *0x2000(%rip), as -fno-plt makes it; call *8(%r12,%rax,8) */
	const uint8_t slot[] = { 0xff, 0x15, 0x00, 0x20, 0x00, 0x00 };
	CHECK(!plan_at(slot, sizeof(slot), ADDR, &patch));
	CHECK_UINT(pushed(patch.trampoline), ADDR + 6);
	CHECK_UINT(patch.trampoline[13], 0xff);
	CHECK_UINT(patch.trampoline[14], 0x25);
	CHECK_UINT(TRAMPOLINE + 19 + (uint64_t)rel32(patch.trampoline + 15), ADDR + 6 + 0x2000);
	const uint8_t table[] = { 0x41, 0xff, 0x54, 0xc4, 0x08 };
	CHECK(!plan_at(table, sizeof(table), ADDR, &patch));
	CHECK_UINT(pushed(patch.trampoline), ADDR + 5);
	CHECK(memcmp(patch.trampoline + 13, "\x41\xff\x64\xc4\x08", 5) == 0);
}

TEST(patch_leaves_endbr64_where_it_is)
{
	struct cprof_patch patch;
	const uint8_t code[] = { 0xf3, 0x0f, 0x1e, 0xfa, 0x41, 0x54, 0x55, 0x53, 0x48, 0x89, 0xfb };
	CHECK(!plan_at(code, sizeof(code), ADDR, &patch));
	CHECK_UINT(patch.addr, ADDR + 4);
	CHECK_UINT(patch.displaced, 7);
}

TEST(patch_refuses_what_cannot_be_moved_and_says_why)
{
	/* clang-format off */
	static const struct {
		const char *why;
		uint8_t code[16];
		size_t n;
		uint64_t addr;
	} rows[] = {
		{ "return from a call into the jump", { 0xff, 0xd0, 0x90, 0x90, 0x90 }, 5, ADDR },
		{ "a call that cannot be moved", { 0x53, 0xff, 0x54, 0x24, 0x08 }, 5, ADDR }, /* call *8(%rsp) */
		{ "a call of it cannot reach", { 0xe8, 0, 0, 0, 0x80 }, 5, ADDR },
		{ "no long form", { 0xe3, 0x10, 0x90, 0x90, 0x90 }, 5, ADDR }, /* jrcxz */
		{ "branch into themselves", { 0x48, 0x85, 0xff, 0x74, 0xfe }, 5, ADDR },
		{ "branches back into", { 0x41, 0x54, 0x55, 0x53, 0x90, 0x90, 0xeb, 0xfa }, 8, ADDR },
		{ "shorter than a jump", { 0xc3, 0x48, 0x89, 0xf8, 0xc3 }, 5, ADDR },
		{ "breakpoint", { 0xcc, 0x54, 0x55, 0x53, 0x90 }, 5, ADDR },
		{ "cannot be decoded", { 0x06, 0x06, 0x06, 0x06, 0x06 }, 5, ADDR },
		{ "cross a page", { 0x41, 0x54, 0x55, 0x53, 0x90 }, 5, ADDR + 0xffc },
		{ "too far", { 0x41, 0x54, 0x55, 0x53, 0x90 }, 5, 0x400000 },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_patch patch;
		struct cprof_error *err = plan_at(rows[i].code, rows[i].n, rows[i].addr, &patch);
		if (!err)
			TEST_FAIL("patched what should be refused: %s", rows[i].why);
		if (!strstr(err->message, rows[i].why))
			TEST_FAIL("%s: says \"%s\"", rows[i].why, err->message);
		cprof_error_free(err);
	}
}

TEST(patch_takes_a_function_as_short_as_a_jump_with_padding_behind)
{
	struct cprof_patch patch;
	const uint8_t code[] = { 0x31, 0xc0, 0xc3, 0x66, 0x0f, 0x1f, 0x44, 0, 0 };
	CHECK(!plan_at(code, sizeof(code), ADDR, &patch));
	CHECK_UINT(patch.trampoline[0], 0x31);
	CHECK_UINT(patch.trampoline[2], 0xc3);
}

TEST(patch_moves_a_thread_from_an_instruction_to_its_copy)
{
	struct cprof_patch patch;
	const uint8_t code[] = { 0x41, 0x54, 0x55, 0x53, 0x48, 0x89, 0xfb };
	CHECK(!plan_at(code, sizeof(code), ADDR, &patch));
	CHECK_UINT(cprof_patch_move(&patch, TRAMPOLINE, ADDR), ADDR);
	CHECK_UINT(cprof_patch_move(&patch, TRAMPOLINE, ADDR + 2),
		   ADDR + 2); /* it will meet the jump */
	CHECK_UINT(cprof_patch_move(&patch, TRAMPOLINE, ADDR + 3), TRAMPOLINE + 3);
	CHECK_UINT(cprof_patch_move(&patch, TRAMPOLINE, ADDR + 4), TRAMPOLINE + 4);
	CHECK_UINT(cprof_patch_move(&patch, TRAMPOLINE, ADDR + 7), ADDR + 7);
	CHECK_UINT(cprof_patch_move(&patch, TRAMPOLINE, ADDR - 1), ADDR - 1);

	const uint8_t at_entry[] = { 0x48, 0x89, 0xf7, 0x55, 0x53 };
	CHECK(!plan_at(at_entry, sizeof(at_entry), ADDR, &patch));
	CHECK_UINT(cprof_patch_move(&patch, TRAMPOLINE, ADDR), ADDR);
	CHECK_UINT(cprof_patch_move(&patch, TRAMPOLINE, ADDR + 3), TRAMPOLINE + 3);
	CHECK_UINT(cprof_patch_move(&patch, TRAMPOLINE, ADDR + 4), TRAMPOLINE + 4);
	CHECK_UINT(cprof_patch_move(&patch, TRAMPOLINE, ADDR + 5), ADDR + 5);
}
