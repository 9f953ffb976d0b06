/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/remote_gadgets.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/test.h"

#define LARGE 0x10000000ull
#define SMALL 0x7f0000000000ull
#define LIBC  0x7f1000000000ull

struct text {
	uint64_t has;   /* the mapping that has what is looked for */
	uint64_t large; /* bytes read of the program */
};

static bool read_text(void *ctx, uint64_t addr, void *buf, size_t n)
{
	static const uint8_t code[] = {
		0x0f, 0x05, 0xc3, 0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05
	};
	struct text *text = ctx;
	if (addr >= LARGE && addr < SMALL)
		text->large += n;
	memset(buf, 0x90, n);
	if (addr == text->has && n > 16 + sizeof(code))
		memcpy((uint8_t *)buf + 16, code, sizeof(code));
	return true;
}

/* What is read of a process's text counts as its resident memory from then on. */
TEST(remote_gadgets_are_looked_for_where_they_are_and_then_in_what_is_small)
{
	static const struct {
		const char *what, *libc;
		uint64_t has;
		bool large;
	} cases[] = {
		{ "the C library", "/usr/lib/x86_64-linux-gnu/libc.so.6", LIBC, false },
		{ "musl's", "/lib/ld-musl-x86_64.so.1", LIBC, false },
		{ "a small library", "/usr/lib/libother.so", SMALL, false },
		{ "only the program", "/usr/lib/x86_64-linux-gnu/libc.so.6", LARGE, true },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct text memory = { .has = cases[i].has };
		struct cprof_remote_gadgets found = { 0 };
		struct cprof_maps maps;
		char text[512];
		const int n = snprintf(
			text, sizeof(text),
			"10000000-20000000 r-xp 00000000 fe:00 7 /usr/bin/browser\n"
			"7f0000000000-7f0000008000 r-xp 00000000 fe:00 8 /usr/lib/libx.so\n"
			"7f1000000000-7f1000200000 r-xp 00000000 fe:00 9 %s\n",
			cases[i].libc);
		cprof_maps_init(&maps, 0,
				(struct cprof_memory){ .read = read_text, .ctx = &memory });
		CHECK(!cprof_maps_parse(&maps, text, (size_t)n));
		CHECK(!cprof_remote_find_gadgets(&maps, &found));
		if (found.syscall_ret != cases[i].has + 16 ||
		    found.sigreturn != cases[i].has + 19 || (memory.large > 0) != cases[i].large)
			TEST_FAIL("%s: %llx, %llu bytes of the program read", cases[i].what,
				  (unsigned long long)found.syscall_ret,
				  (unsigned long long)memory.large);
		cprof_maps_deinit(&maps);
	}
}
