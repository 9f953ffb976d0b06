/* SPDX-License-Identifier: Apache-2.0 */
/* The way back from another stack, read off the code behind the call. */
#include "symbolize/unwind/unwind_switch.h"

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
