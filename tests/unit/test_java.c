/* SPDX-License-Identifier: Apache-2.0 */
/* A Java virtual machine's memory: its tables, its code cache, its methods' names, and rules for its frames. */
#include "symbolize/java/code_cache.h"
#include "symbolize/java/frame_edge.h"
#include "symbolize/java/java_vm.h"
#include "symbolize/java/method_name.h"
#include "symbolize/unwind/unwind_ahead.h"
#include "symbolize/unwind/unwind_java.h"

#include "tests/unit/java_memory.h"
#include "tests/unit/test.h"

static struct java_memory java;
static struct cprof_vm_layout layout;
static struct cprof_code_cache cache;
static const struct cprof_memory memory = { .read = java_memory_read, .ctx = &java };

static void start(bool newer)
{
	java_memory_make(&java, newer);
	CHECK(cprof_vm_tables_read(&memory, java.exports, &layout));
	cache = (struct cprof_code_cache){ .layout = &layout };
	CHECK(cprof_code_cache_refresh(&cache, &memory));
}

TEST(java_tables_of_older_and_newer_versions_say_where_everything_is)
{
	start(false);
	CHECK_UINT(layout.block_bytes, 16);
	CHECK_UINT(layout.blob_code.bytes, 8);
	CHECK_UINT(layout.blob_frame_complete.bytes, 4);
	CHECK(cprof_vm_layout_names(&layout));
	start(true);
	CHECK_UINT(layout.block_bytes, 8);
	CHECK_UINT(layout.blob_code.bytes, 0);
	CHECK_UINT(layout.blob_frame_complete.bytes, 2);
	CHECK(layout.blob_frame_complete.is_signed);
	CHECK(cprof_vm_layout_names(&layout));
}

TEST(java_tables_that_lack_something_are_not_used)
{
	for (unsigned i = 0; i < CPROF_VM_EXPORTS; i++) {
		java_memory_make(&java, true);
		java.exports[i] = 0;
		CHECK(!cprof_vm_tables_read(&memory, java.exports, &layout));
	}
	/* Each row of the first eight words is needed for frames; without its type's name the table ends there. */
	for (unsigned row = 0; row < 8; row++) {
		java_memory_make(&java, true);
		java_memory_put(&java, JAVA_BASE + 0x100 + 48 * row, 0, 8);
		CHECK(!cprof_vm_tables_read(&memory, java.exports, &layout));
	}
	java_memory_make(&java, true);
	java_memory_put(&java, java.exports[1], 1u << 20, 8); /* a stride */
	CHECK(!cprof_vm_tables_read(&memory, java.exports, &layout));
}

static const struct cprof_code_blob *find(uint64_t addr)
{
	return cprof_code_cache_find(&cache, &memory, addr);
}

TEST(java_code_is_found_from_any_address_in_it)
{
	for (int newer = 0; newer < 2; newer++) {
		start(newer);
		for (uint64_t at = 0; at < 1000; at++) {
			const struct cprof_code_blob *blob = find(JAVA_NMETHOD + JAVA_CODE + at);
			CHECK(blob);
			CHECK_UINT(blob->kind, CPROF_CODE_COMPILED);
			CHECK_UINT(blob->code_start, JAVA_NMETHOD + JAVA_CODE);
			CHECK_UINT(blob->complete, JAVA_NMETHOD + JAVA_CODE + 12);
			CHECK_UINT(blob->frame_words, 6);
			CHECK_UINT(blob->method, JAVA_METHOD);
		}
		CHECK_UINT(find(JAVA_INTERP + JAVA_CODE + 5)->kind, CPROF_CODE_INTERPRETER);
		CHECK_UINT(find(JAVA_STUB + JAVA_CODE + 5)->kind, CPROF_CODE_STUB);
		CHECK_UINT(find(JAVA_CONT + JAVA_CODE + 5)->kind, CPROF_CODE_CONTINUATION);
		CHECK_STR(find(JAVA_STUB + JAVA_CODE + 5)->name, "_new_array_Java");
	}
}

TEST(java_code_is_not_found_where_there_is_none)
{
	start(true);
	CHECK(!find(JAVA_HEAP));              /* a free segment */
	CHECK(!find(JAVA_NMETHOD + 4));       /* its header */
	CHECK(!find(JAVA_FREED + JAVA_CODE)); /* a block that is not used any more */
	CHECK(!find(JAVA_HEAP + 0x4000));     /* behind the heap */
	CHECK(!find(JAVA_BASE) && !find(0) && !find(UINT64_MAX));
}

TEST(java_code_with_impossible_numbers_is_not_believed)
{
	static const struct {
		const char *what;
		uint32_t offset;
		uint64_t value;
		size_t bytes;
	} cases[] = {
		{ "larger than the heap", 16, 0x7fffffff, 4 },
		{ "a negative size", 16, 0xffffffff, 4 },
		{ "data past the end", 20, 0x7fffffff, 4 },
		{ "code past the data", 32, 0x700000, 4 },
		{ "code before itself", 32, 0x80000000, 4 },
		{ "no name", 8, 0, 8 },
		{ "a name nowhere", 8, 1, 8 },
		{ "a frame of one word", 24, 1, 4 },
		{ "a negative frame", 24, 0xffffffff, 4 },
		{ "a huge frame", 24, 0x7fffffff, 4 },
	};
	start(true);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		java_memory_make(&java, true);
		java_memory_put(&java, JAVA_NMETHOD + 8 + cases[i].offset, cases[i].value,
				cases[i].bytes);
		CHECK(cprof_code_cache_refresh(&cache, &memory));
		if (find(JAVA_NMETHOD + JAVA_CODE + 5))
			TEST_FAIL("%s: found", cases[i].what);
	}
}

TEST(java_code_is_found_in_a_heap_that_has_grown_since_it_was_read)
{
	uint64_t addr = JAVA_CONT + JAVA_CODE + 5;
	start(true);
	java_memory_put(&java, JAVA_HEAP_HIGH, JAVA_STUB, 8);
	CHECK(cprof_code_cache_refresh(&cache, &memory));
	CHECK(!find(addr));
	java_memory_put(&java, JAVA_HEAP_HIGH, JAVA_HEAP + 0x4000, 8);
	CHECK(find(addr));
	CHECK(!find(JAVA_HEAP + 0x4000)); /* it does not grow over its limit */
}

TEST(java_compiled_code_without_a_frame_keeps_its_name)
{
	start(true);
	java_memory_put(&java, JAVA_NMETHOD + 8 + 24, 0, 4);
	const struct cprof_code_blob *blob = find(JAVA_NMETHOD + JAVA_CODE + 5);
	CHECK(blob);
	CHECK_UINT(blob->kind, CPROF_CODE_OTHER);
	CHECK_UINT(blob->method, JAVA_METHOD);
}

TEST(java_maps_of_segments_that_lead_nowhere_end)
{
	start(true);
	/* Each byte says: one back; the first says so too. */
	for (unsigned i = 0; i < 0x80; i++)
		java_memory_put(&java, JAVA_BASE + 0x4000 + i, 1, 1);
	CHECK(!find(JAVA_NMETHOD + JAVA_CODE));
	java_memory_put(&java, JAVA_BASE + 0x4000 + 3, 200, 1); /* further back than the start */
	CHECK(!find(JAVA_NMETHOD + JAVA_CODE));
}

TEST(java_methods_are_named_as_people_write_them)
{
	char name[CPROF_METHOD_NAME_MAX];
	uint64_t identity;
	enum {
		METHOD_NAME = JAVA_BASE + 0x5400,
		SIGNATURE = METHOD_NAME + 0x40,
		CLASS = METHOD_NAME + 0x80
	};
	start(false);
	CHECK(cprof_method_name(&layout, &memory, JAVA_METHOD, name));
	CHECK_STR(name, "a.b.C.run");
	CHECK(cprof_method_identity(&layout, &memory, JAVA_METHOD, &identity));
	static const struct {
		uint64_t symbol;
		const char *text, *want; /* NULL: no name */
	} cases[] = {
		{ METHOD_NAME, "<init>", "a.b.C.<init>" },
		{ CLASS, "Main", "Main.run" },
		{ CLASS, "Main$$Lambda+0x00007f5c1c000a00", "Main$$Lambda.run" },
		{ CLASS, "Main$$Lambda$14/0x0000000800c03000", "Main$$Lambda$14.run" },
		{ CLASS, "", NULL },
		{ CLASS, "x\ny", NULL },
		{ METHOD_NAME, "a;b", NULL },
		{ SIGNATURE, "I", NULL },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		java_memory_make(&java, false);
		java_memory_put(&java, cases[i].symbol + 4, strlen(cases[i].text), 2);
		memcpy(java.bytes + (cases[i].symbol + 6 - JAVA_BASE), cases[i].text,
		       strlen(cases[i].text));
		bool named = cprof_method_name(&layout, &memory, JAVA_METHOD, name);
		if (named != (cases[i].want != NULL))
			TEST_FAIL("%s", cases[i].text);
		if (named)
			CHECK_STR(name, cases[i].want);
	}
	CHECK(!cprof_method_name(&layout, &memory, JAVA_METHOD + 1, name));
	CHECK(!cprof_method_name(&layout, &memory, 0, name));
	CHECK(!cprof_method_name(&layout, &memory, JAVA_HEAP, name));
}

TEST(java_frames_are_whole_but_at_their_edges)
{
#define CODE(before, after) before after, sizeof(before) - 1, sizeof(before after) - 1
#define BANG                "\x89\x84\x24\x00\xc0\xfe\xff"
#define ROOM                "\x48\x83\xec\x20"
#define POLL                "\x49\x3b\xa7\x88\x03\x00\x00\x0f\x87\x01\x02\x03\x04"
	static const struct {
		const char *what, *code;
		size_t at, n;
		bool complete;
		enum cprof_frame_edge want;
	} cases[] = {
		{ "first instruction", CODE("", BANG "\x55" ROOM), false, CPROF_EDGE_RETURN },
		{ "before the push", CODE(BANG, "\x55" ROOM), false, CPROF_EDGE_RETURN },
		{ "behind the push", CODE(BANG "\x55", ROOM), false, CPROF_EDGE_POINTER },
		{ "before rbp is set", CODE(BANG "\x55", "\x48\x8b\xec" ROOM), false,
		  CPROF_EDGE_POINTER },
		{ "behind it", CODE(BANG "\x55\x48\x8b\xec", ROOM), false, CPROF_EDGE_POINTER },
		{ "with room", CODE(BANG "\x55\x48\x8b\xec" ROOM, "\x41\x81\x7f\x20"), false,
		  CPROF_EDGE_WHOLE },
		{ "large room", CODE("\x55\x48\x81\xec\x00\x10\x00\x00", "\x90"), false,
		  CPROF_EDGE_WHOLE },
		{ "no push, no room", CODE("", "\x48\x83\xec\x18\x48\x89\x6c\x24\x10"), false,
		  CPROF_EDGE_RETURN },
		{ "no push, room", CODE("\x48\x83\xec\x18", "\x48\x89\x6c\x24\x10"), false,
		  CPROF_EDGE_UNSAVED },
		{ "no push, stored", CODE("\x48\x83\xec\x18\x48\x89\x6c\x24\x10", "\x90"), false,
		  CPROF_EDGE_WHOLE },
		{ "body", CODE("\x55" ROOM, "\x8b\x46\x0c"), true, CPROF_EDGE_WHOLE },
		{ "taking it away", CODE("", "\x48\x83\xc4\x20\x5d" POLL "\xc3"), true,
		  CPROF_EDGE_WHOLE },
		{ "before the pop", CODE("\x48\x83\xc4\x20", "\x5d" POLL "\xc3"), true,
		  CPROF_EDGE_POINTER },
		{ "behind it", CODE("\x5d", POLL "\xc3"), true, CPROF_EDGE_RETURN },
		{ "in the poll",
		  CODE("\x5d\x49\x3b\xa7\x88\x03\x00\x00", "\x0f\x87\x01\x02\x03\x04\xc3"), true,
		  CPROF_EDGE_RETURN },
		{ "JDK 11's poll", CODE("\x5d", "\x4d\x8b\x97\x08\x01\x00\x00\x41\x85\x02\xc3"),
		  true, CPROF_EDGE_RETURN },
		{ "at the return", CODE("\x5d", "\xc3"), true, CPROF_EDGE_RETURN },
		{ "a poll in a loop", CODE("", "\x4d\x8b\x97\x08\x01\x00\x00\x41\x85\x02\x90"),
		  true, CPROF_EDGE_WHOLE },
		{ "parking",
		  CODE("", "\x4c\x8d\x15\x01\x02\x03\x04\x4d\x89\x97\x01\x02\x03\x04\xe9"), true,
		  CPROF_EDGE_RETURN },
		{ "its jump", CODE("\x4d\x89\x97\x01\x02\x03\x04", "\xe9\x01\x02\x03\x04"), true,
		  CPROF_EDGE_RETURN },
		{ "another jump", CODE("\x90", "\xe9\x01\x02\x03\x04"), true, CPROF_EDGE_WHOLE },
		{ "cut off", CODE("", "\x5d"), true, CPROF_EDGE_WHOLE },
		{ "nothing", CODE("", ""), true, CPROF_EDGE_WHOLE },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum cprof_frame_edge edge = cprof_frame_edge(
			(const uint8_t *)cases[i].code, cases[i].n, cases[i].at, cases[i].complete);
		if (edge != cases[i].want)
			TEST_FAIL("%s: %d, want %d", cases[i].what, (int)edge, (int)cases[i].want);
	}
}

TEST(java_compiled_code_has_pushed_what_it_takes_away_ahead)
{
#define AHEAD(code) code, sizeof(code) - 1
	static const struct {
		const char *what, *code;
		size_t n;
		int32_t want;
	} cases[] = {
		{ "behind a type check", AHEAD("\x41\x59\x41\x58\x4d\x85\xc0\x0f\x84"), 16 },
		{ "with one more to push", AHEAD("\x50\xe8\x01\x02\x03\x04\x58\x58"), 8 },
		{ "behind a barrier", AHEAD("\x48\x8b\x04\x24\x48\x83\xc4\x40\xe9\x01\x02\x03\x04"),
		  64 },
		{ "the frame itself", AHEAD("\x48\x83\xc4\x20\x5d\xc3"), 0 },
		{ "the same size without its pop", AHEAD("\x48\x83\xc4\x20\x90\xc3"), 32 },
		{ "behind a jump", AHEAD("\xeb\x01\x58\x58"), 0 },
		{ "behind a return", AHEAD("\xc3\x58\x58"), 0 },
		{ "the frame pointer", AHEAD("\x5d\xc3"), 0 },
		{ "rounded", AHEAD("\x48\x83\xe4\xf0\x58"), 0 },
		{ "too much", AHEAD("\x48\x81\xc4\x00\x00\x01\x00\x58"), 0 },
		{ "nothing", AHEAD(""), 0 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int32_t got = cprof_ahead_pushed((const uint8_t *)cases[i].code, cases[i].n, 48);
		if (got != cases[i].want)
			TEST_FAIL("%s: %d, want %d", cases[i].what, got, cases[i].want);
	}
}

enum { RAX = 0, RBX = 3, RBP = 6, RSP = 7, R11 = 11, R13 = 13 };

/* The start of the caller's frame; the return address, in memory (true) or a register. */
struct ahead_want {
	int cfa_reg; /* -1: nothing is told */
	int32_t cfa_offset;
	bool in_memory;
	uint8_t base;
	int32_t offset;
};

static void check_ahead(const char *what, bool told, const struct cprof_ahead *got,
			const struct ahead_want *want)
{
	if (told != (want->cfa_reg >= 0))
		TEST_FAIL("%s: %s", what, told ? "told" : "not told");
	if (told && (got->cfa_reg != want->cfa_reg || got->cfa_offset != want->cfa_offset ||
		     (got->ra.from == CPROF_FROM_BASE) != want->in_memory ||
		     got->ra.base != want->base || got->ra.offset != want->offset))
		TEST_FAIL("%s: %d%+d, %d %d%+d", what, got->cfa_reg, (int)got->cfa_offset,
			  got->ra.from, got->ra.base, (int)got->ra.offset);
}

TEST(java_adapters_tell_where_the_return_address_is)
{
#define TAKE "\x49\x89\xe3\x58"                 /* mov %rsp,%r11; pop %rax */
#define GIVE "\x48\x83\xe4\xf0\x50"             /* and $-16,%rsp; push %rax */
#define GO   "\x4c\x89\xd8\x41\xff\xe3"         /* mov %r11,%rax; jmp *%r11 */
#define KEEP "\x49\x89\xe5"                     /* mov %rsp,%r13 */
#define MEND "\x48\x8b\x04\x24\x48\x83\xe4\xf0" /* mov (%rsp),%rax; and $-16,%rsp */
#define BACK "\x4c\x89\xec"                     /* mov %r13,%rsp */
#define PUT  "\x48\x83\xec\x20\x48\x89\x04\x24" /* sub $32,%rsp; mov %rax,(%rsp) */
	static const struct {
		const char *what, *code;
		size_t n;
		struct ahead_want want;
	} cases[] = {
		{ "to compiled code", AHEAD(TAKE GIVE GO), { R13, 0, true, RSP, 0 } },
		{ "with the address taken", AHEAD(GIVE GO), { R13, 0, false, RAX, 0 } },
		{ "with it given", AHEAD(GO), { R13, 0, true, RSP, 0 } },
		{ "to the interpreter, before all",
		  AHEAD(KEEP MEND BACK),
		  { RSP, 8, true, RSP, 0 } },
		{ "within a barrier that has pushed",
		  AHEAD("\x48\x81\xc4\x80\x00\x00\x00\x59\x58\x90" KEEP MEND BACK),
		  { RSP, 152, true, RSP, 144 } },
		{ "in the machine, which mends the caller",
		  AHEAD("\x48\x81\xc4\x80\x0a\x00\x00" BACK "\x58" KEEP PUT "\xff\xe1"),
		  { R13, 8, true, R13, 0 } },
		{ "before it is taken",
		  AHEAD("\x58" KEEP PUT "\xff\xe1"),
		  { RSP, 8, true, RSP, 0 } },
		{ "taken", AHEAD(KEEP PUT "\xff\xe1"), { RSP, 0, false, RAX, 0 } },
		{ "sender kept", AHEAD(PUT "\xff\xe1"), { R13, 0, false, RAX, 0 } },
		{ "put there", AHEAD("\x48\x89\x74\x24\x08\xff\xe1"), { R13, 0, true, RSP, 0 } },
		{ "no end", AHEAD("\x90\x90"), { .cfa_reg = -1 } },
		{ "nothing", AHEAD(""), { .cfa_reg = -1 } },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cprof_ahead got = { 0 };
		bool told = cprof_ahead_adapter((const uint8_t *)cases[i].code, cases[i].n, &got);
		check_ahead(cases[i].what, told, &got, &cases[i].want);
	}
}

TEST(java_interpreter_tells_where_its_frame_is_not_there)
{
#define BOTH(before, after) before after, sizeof(before after) - 1, sizeof(before) - 1
#define ENTER                                                                                      \
	"\x58\x6a\x00\x50\x55\x48\x89\xe5\x41\x55" /* pop %rax; push $0; push %rax; enter; push %r13 */
#define CHECK_SP "\x49\x3b\xa7\x38\x05\x00\x00\x72\x0b" /* cmp n(%r15),%rsp; jb */
	static const struct {
		const char *what, *code;
		size_t n, at;
		bool is_return;
		struct ahead_want want;
	} cases[] = {
		{ "an entry", BOTH("", "\x8b\x4a\x2e" ENTER), false, { R13, 0, true, RSP, 0 } },
		{ "the address taken",
		  BOTH("\x58", "\x6a\x00\x50\x55\x48\x89\xe5"),
		  false,
		  { R13, 0, false, RAX, 0 } },
		{ "given back", BOTH("\x50", "\x55\x48\x89\xe5"), false, { R13, 0, true, RSP, 0 } },
		{ "frame pointer pushed",
		  BOTH("\x50\x55", "\x48\x89\xe5"),
		  false,
		  { R13, 0, true, RSP, 8 } },
		{ "and set",
		  BOTH("\x50\x55\x48\x89\xe5", "\x41\x55\x90"),
		  false,
		  { R13, 0, true, RBP, 8 } },
		{ "a return address before an entry", BOTH("", ENTER), true, { .cfa_reg = -1 } },
		{ "a bytecode", BOTH("", "\x41\xff\x24\xda" ENTER), false, { .cfa_reg = -1 } },
		{ "leaving",
		  BOTH("\xc9", "\x41\x5d\x48\x89\xdc" CHECK_SP "\x41\xff\xe5"),
		  false,
		  { RBX, 0, true, RSP, 0 } },
		{ "before it leaves",
		  BOTH("", "\xc9\x41\x5d\x48\x89\xdc\x41\xff\xe5"),
		  false,
		  { .cfa_reg = -1 } },
		{ "the address popped",
		  BOTH("\x41\x5d", "\x48\x89\xdc\x41\xff\xe5"),
		  false,
		  { RBX, 0, false, R13, 0 } },
		{ "all but gone",
		  BOTH("\x41\x5d\x48\x89\xdc" CHECK_SP, "\x41\xff\xe5"),
		  false,
		  { RSP, 0, false, R13, 0 } },
		{ "a root without a frame",
		  BOTH("\xe8\x01\x02\x03\x04", "\x58\x4c\x89\xec\xff\xe0"),
		  true,
		  { R13, 0, true, RSP, 0 } },
		{ "another register",
		  BOTH("", "\x58\x4c\x89\xec\xff\xe1"),
		  true,
		  { .cfa_reg = -1 } },
		{ "nothing", BOTH("", ""), false, { .cfa_reg = -1 } },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cprof_ahead got = { 0 };
		bool told = cprof_ahead_interpreter((const uint8_t *)cases[i].code, cases[i].n,
						    cases[i].at, cases[i].is_return, &got);
		check_ahead(cases[i].what, told, &got, &cases[i].want);
	}
}
