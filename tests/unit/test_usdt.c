/* SPDX-License-Identifier: Apache-2.0 */
#include <elf.h>

#include "attach/heap/alloc/usdt_args.h"
#include "attach/heap/alloc/usdt_note.h"
#include "tests/unit/test.h"

enum {
	NO = CPROF_USDT_NO_REG,
	RAX = 0,
	RBX = 1,
	RDX = 3,
	RDI = 5,
	RBP = 6,
	RSP = 7,
	R9 = 9,
	R15 = 15
};

TEST(usdt_args_are_read_as_the_assembler_writes_them)
{
	static const struct {
		const char *text;
		struct cprof_usdt_operand want;
	} cases[] = {
		{ "8@%rdi", { CPROF_USDT_REGISTER, 8, 0, RDI, NO, 1, { 0 }, 0 } },
		{ "-4@%edx", { CPROF_USDT_REGISTER, 4, 1, RDX, NO, 1, { 0 }, 0 } },
		{ "1@%r15b", { CPROF_USDT_REGISTER, 1, 0, R15, NO, 1, { 0 }, 0 } },
		{ "2@%ax", { CPROF_USDT_REGISTER, 2, 0, RAX, NO, 1, { 0 }, 0 } },
		{ "8@$5", { CPROF_USDT_CONSTANT, 8, 0, NO, NO, 1, { 0 }, 5 } },
		{ "-4@$-1", { CPROF_USDT_CONSTANT, 4, 1, NO, NO, 1, { 0 }, -1 } },
		{ "8@$0xffffffffffffffff", { CPROF_USDT_CONSTANT, 8, 0, NO, NO, 1, { 0 }, -1 } },
		{ "8@(%rsp)", { CPROF_USDT_MEMORY, 8, 0, RSP, NO, 1, { 0 }, 0 } },
		{ "-8@-20(%rbp)", { CPROF_USDT_MEMORY, 8, 1, RBP, NO, 1, { 0 }, -20 } },
		{ "4@8(%rax,%r9,4)", { CPROF_USDT_MEMORY, 4, 0, RAX, R9, 4, { 0 }, 8 } },
		{ "4@(%rax,%rbx)", { CPROF_USDT_MEMORY, 4, 0, RAX, RBX, 1, { 0 }, 0 } },
		{ "8@16(,%rbx,8)", { CPROF_USDT_MEMORY, 8, 0, NO, RBX, 8, { 0 }, 16 } },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cprof_usdt_operand got[CPROF_USDT_ARGS_MAX];
		size_t n = 0;
		const char *why = cprof_usdt_args_parse(cases[i].text, got, &n);
		if (why)
			TEST_FAIL("%s: %s", cases[i].text, why);
		CHECK_UINT(n, 1);
		if (memcmp(&got[0], &cases[i].want, sizeof(got[0])) != 0)
			TEST_FAIL("%s is read as kind %u, base %u, index %u, value %lld",
				  cases[i].text, got[0].kind, got[0].base, got[0].index,
				  (long long)got[0].value);
	}
}

TEST(usdt_args_may_be_several_or_none)
{
	struct cprof_usdt_operand got[CPROF_USDT_ARGS_MAX];
	size_t n;
	CHECK(!cprof_usdt_args_parse("", got, &n));
	CHECK_UINT(n, 0);
	CHECK(!cprof_usdt_args_parse(" 8@%rdi  -4@-20(%rbp) 8@$5 ", got, &n));
	CHECK_UINT(n, 3);
	CHECK_UINT(got[2].value, 5);
	CHECK(!cprof_usdt_args_parse(
		"1@$1 1@$2 1@$3 1@$4 1@$5 1@$6 1@$7 1@$8 1@$9 1@$10 1@$11 1@$12", got, &n));
	CHECK_UINT(n, 12);
}

TEST(usdt_args_that_cannot_be_told_are_refused)
{
	static const char *const cases[] = {
		"8",
		"8@",
		"@%rdi",
		"8@rdi",
		"8@%",
		"8@%rip",
		"8@%xmm0",
		"8@%ah",
		"8@%rdi8",
		"3@%rdi",
		"0@%rdi",
		"16@%rdi",
		"-16@%rdi",
		"-9223372036854775808@%rdi",
		"8@$",
		"8@$x",
		"8@$--5",
		"8@$ 5",
		"8@$5x",
		"8@$0x",
		"8@$99999999999999999999",
		"8@()",
		"8@(%edi)",
		"8@5",
		"8@(%rdi",
		"8@(%rdi,)",
		"8@(%rdi,%rsi,3)",
		"8@(%rdi,%rsi,x)",
		"8@5(,)",
		"8@(%rdi)x",
		"8@%fs:8(%rax)",
		"8@sym(%rip)",
		"8@sym+4(%rip)",
		"8@-(%rdi)",
		"8@%rdi,8@%rsi",
		"8@%rdi\t8@%rsi",
		"1@$1 1@$2 1@$3 1@$4 1@$5 1@$6 1@$7 1@$8 1@$9 1@$10 1@$11 1@$12 1@$13",
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cprof_usdt_operand got[CPROF_USDT_ARGS_MAX];
		size_t n = 77;
		if (!cprof_usdt_args_parse(cases[i], got, &n))
			TEST_FAIL("\"%s\" is taken", cases[i]);
		CHECK_UINT(n, 77);
	}
	char text[4096];
	struct cprof_usdt_operand got[CPROF_USDT_ARGS_MAX];
	size_t n;
	memset(text, ' ', sizeof(text));
	text[sizeof(text) - 1] = 0;
	CHECK(cprof_usdt_args_parse(text, got, &n));
}

/* A note with this owner, type and description, padded; returns where it ends. */
static size_t put(uint8_t *to, const char *owner, uint32_t type, const void *desc, uint32_t n)
{
	const uint32_t owner_len = (uint32_t)strlen(owner) + 1;
	const Elf64_Nhdr head = { owner_len, n, type };
	size_t at = sizeof(head);
	memcpy(to, &head, sizeof(head));
	memcpy(to + at, owner, owner_len);
	at += (owner_len + 3u) & ~3u;
	memcpy(to + at, desc, n);
	return at + ((n + 3u) & ~3u);
}

#define WORDS "\x10\0\0\0\0\0\0\0\x20\0\0\0\0\0\0\0\x30\0\0\0\0\0\0\0"

TEST(usdt_notes_are_found_among_others_and_end_where_they_must)
{
	static const char good[] = WORDS "otel_memory\0alloc\0008@%rdi 8@%rsi";
	static const char unended[] = WORDS "otel_memory\0alloc\0008@%rdi";
	uint8_t bytes[1024] = { 0 };
	struct cprof_usdt_note note;
	size_t n = put(bytes, "GNU", 3, "abcdefgh", 8), at = 0;
	n += put(bytes + n, "stapsdt", 1, good, sizeof(good));
	n += put(bytes + n, "stapsdt", 3, "short", 5);
	n += put(bytes + n, "stapsdt", 3, unended, sizeof(unended) - 1);
	n += put(bytes + n, "stapsdt", 3, good, sizeof(good));
	n += put(bytes + n, "stapsdt", 3, good, sizeof(good));
	for (unsigned i = 0; i < 2; i++) {
		CHECK(cprof_usdt_note_next(bytes, n, &at, &note));
		CHECK_UINT(note.pc, 0x10);
		CHECK_UINT(note.base, 0x20);
		CHECK_UINT(note.semaphore, 0x30);
		CHECK_STR(note.provider, "otel_memory");
		CHECK_STR(note.name, "alloc");
		CHECK_STR(note.args, "8@%rdi 8@%rsi");
	}
	CHECK(!cprof_usdt_note_next(bytes, n, &at, &note));
	/* Cut anywhere: never beyond, and what is whole is found. */
	for (size_t cut = 0; cut < n; cut++) {
		uint8_t *copy = malloc(cut + 1);
		unsigned found = 0;
		memcpy(copy, bytes, cut);
		for (at = 0; cprof_usdt_note_next(copy, cut, &at, &note); found++)
			CHECK(found < 2);
		free(copy);
	}
}

TEST(usdt_notes_with_lengths_that_lie_end_the_search)
{
	static const Elf64_Nhdr heads[] = {
		{ UINT32_MAX, 0, 3 }, { 8, UINT32_MAX, 3 }, { UINT32_MAX, UINT32_MAX, 3 },
		{ 8, 100, 3 },        { 100, 8, 3 },
	};
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		uint8_t bytes[64] = { 0 };
		struct cprof_usdt_note note;
		size_t at = 0;
		memcpy(bytes, &heads[i], sizeof(heads[i]));
		CHECK(!cprof_usdt_note_next(bytes, sizeof(bytes), &at, &note));
	}
}
