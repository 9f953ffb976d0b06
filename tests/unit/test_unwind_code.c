/* SPDX-License-Identifier: Apache-2.0 */
/* A rule read off the code: jumps that are made of calls and returns, against speculation. */
#include "symbolize/unwind/unwind_code.h"

#include "tests/unit/test.h"

#define BASE 0x1000u

struct bytes {
	const char *at;
	size_t n;
};

static bool read_bytes(void *ctx, uint64_t addr, void *buf, size_t n)
{
	const struct bytes *bytes = ctx;
	if (addr < BASE || addr - BASE > bytes->n || n > bytes->n - (addr - BASE))
		return false;
	memcpy(buf, bytes->at + (addr - BASE), n);
	return true;
}

/* call .+12; 1: pause; lfence; jmp 1b; (padding); mov %r11,(%rsp); ret: what gcc, clang and lld make of jmp *%r11 */
#define RETPOLINE "\xe8\x07\x00\x00\x00\xf3\x90\x0f\xae\xe8\xeb\xf9\x4c\x89\x1c\x24\xc3"
#define IN_STORE  12
#define IN_RETURN 16
/* The same for ret: lea 8(%rsp),%rsp; ret */
#define RETURN_THUNK "\xe8\x07\x00\x00\x00\xf3\x90\x0f\xae\xe8\xeb\xf9\x48\x8d\x64\x24\x08\xc3"
/* mov n(%rip),%r11; call the inside of RETPOLINE behind it: an entry of lld's linkage table */
#define ENTRY "\x4c\x8b\x1d\x00\x01\x00\x00\xe8\x0c\x00\x00\x00"

TEST(code_that_jumps_by_a_return_is_left_by_the_address_behind_it)
{
#define CODE(text) text, sizeof(text) - 1
	static const struct {
		const char *what, *code;
		size_t n, at;
		int32_t want; /* the caller's stack pointer, from ours; 0: no rule */
	} cases[] = {
		{ "a plain return", CODE("\x90\xc3"), 0, 8 },
		{ "start of a retpoline", CODE(RETPOLINE), 0, 8 },
		{ "its store", CODE(RETPOLINE), IN_STORE, 16 },
		{ "its return", CODE(RETPOLINE), IN_RETURN, 16 },
		{ "start of a return thunk", CODE(RETURN_THUNK), 0, 8 },
		{ "its end", CODE(RETURN_THUNK), IN_STORE, 16 },
		{ "the return behind it", CODE(RETURN_THUNK), IN_STORE + 5, 8 },
		{ "an entry of the linkage table", CODE(ENTRY RETPOLINE), 0, 8 },
		{ "its call", CODE(ENTRY RETPOLINE), 7, 8 },
		{ "push and return", CODE("\x50\xc3"), 0, 8 },
		{ "a call that returns", CODE("\xe8\x01\x00\x00\x00\xc3\x90\x90\x90\x90\x90\x90"),
		  0, 8 },
		{ "a store elsewhere", CODE("\x4c\x89\x5c\x24\x08\xc3"), 5, 8 },
		{ "no end", CODE("\x90\x90"), 0, 0 },
	};
#undef CODE
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bytes bytes = { cases[i].code, cases[i].n };
		const struct cprof_memory code = { .read = read_bytes, .ctx = &bytes };
		struct cprof_unwind_rule rule = { .offset = 0 };
		bool found = cprof_unwind_code_rule(&cprof_arch_x86_64, &code, BASE + cases[i].at,
						    false, &rule);
		if (found != (cases[i].want != 0) || (found && rule.offset != cases[i].want))
			TEST_FAIL("%s: %d, want %d", cases[i].what, found ? (int)rule.offset : 0,
				  (int)cases[i].want);
	}
}

TEST(unwind_code_of_a_java_machine_ends_where_it_goes_to_another_piece)
{
	static const struct {
		const char *what;
		const char *code;
		size_t n;
		int32_t want; /* 0: no rule */
	} cases[] = {
		{ "through a register", "\x48\x83\xc4\x10\x5d\xff\xe0", 7, 32 },
		{ "through a word that one points to", "\x58\x5b\x50\xff\x63\x48", 6, 16 },
		{ "to a handler", "\x48\x83\xc4\x08\x5a\xff\xe3", 7, 16 },
		{ "a switch", "\x48\x83\xc4\x10\xff\x24\xc2", 7, 0 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bytes bytes = { cases[i].code, cases[i].n };
		const struct cprof_memory code = { .read = read_bytes, .ctx = &bytes };
		struct cprof_unwind_rule rule = { .offset = 0 };
		CHECK(!cprof_unwind_code_rule(&cprof_arch_x86_64, &code, BASE, false, &rule));
		bool found = cprof_unwind_code_rule(&cprof_arch_x86_64, &code, BASE, true, &rule);
		if (found != (cases[i].want != 0) || (found && rule.offset != cases[i].want))
			TEST_FAIL("%s: %d, want %d", cases[i].what, found ? (int)rule.offset : 0,
				  (int)cases[i].want);
	}
}
