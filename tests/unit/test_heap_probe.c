/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/uprobe/heap_probe.h"

#include "tests/unit/test.h"

#define ADDR 0x401000ull

struct code {
	const uint8_t *bytes;
	size_t n;
};

static bool read_code(void *ctx, uint64_t addr, void *buf, size_t n)
{
	const struct code *code = ctx;
	if (addr < ADDR || addr - ADDR > code->n || n > code->n - (addr - ADDR))
		return false;
	memcpy(buf, code->bytes + (addr - ADDR), n);
	return true;
}

/* The function is all of `bytes`; behind it is padding. */
static struct cprof_error *plan(const uint8_t *bytes, size_t n, struct cprof_heap_probe *probe)
{
	uint8_t padded[128];
	memset(padded, 0xcc, sizeof(padded));
	memcpy(padded, bytes, n);
	struct code code = { padded, sizeof(padded) };
	const struct cprof_memory memory = { read_code, &code };
	return cprof_heap_probe_plan(&memory, ADDR, ADDR + n, probe);
}

TEST(heap_probe_goes_to_an_instruction_that_the_kernel_emulates)
{
	/* clang-format off */
	static const struct {
		const char *what;
		uint8_t code[24];
		size_t n;
		uint64_t at;
		bool slow;
	} rows[] = {
		{ "glibc malloc: push r12", { 0x41, 0x54, 0x55, 0xc3 }, 4, 0, false },
		{ "glibc free: test rdi,rdi; je", { 0x48, 0x85, 0xff, 0x74, 0x01, 0x55, 0xc3 }, 7, 3, false },
		{ "endbr64; push rbp", { 0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0xc3 }, 6, 4, false },
		{ "jmp rel32", { 0xe9, 0, 0, 0, 0, 0xc3 }, 6, 0, false },
		{ "call rel32 goes nowhere further", { 0xe8, 1, 0, 0, 0, 0xc3, 0xc3 }, 7, 0, true },
		{ "mov rbx,rdi; push: rbx is none of ours", { 0x48, 0x89, 0xfb, 0x55, 0xc3 }, 5, 3, false },
		{ "mov rdi,rsi; push: the argument is gone there", { 0x48, 0x89, 0xf7, 0x55, 0xc3 }, 5, 0, true },
		{ "mov r9,r8; push: a sixth argument is gone there", { 0x4d, 0x89, 0xc1, 0x55, 0xc3 }, 5, 0, true },
		{ "sub rsp; push: the stack pointer is another there", { 0x48, 0x83, 0xec, 0x18, 0x55, 0xc3 }, 6, 0, true },
		{ "test; push that is jumped back to; jmp to it",
		  { 0x48, 0x85, 0xff, 0x55, 0x90, 0xeb, 0xfc }, 7, 0, true },
		{ "nop5 must not have a probe; mov; ret", { 0x0f, 0x1f, 0x44, 0, 0, 0x48, 0x89, 0xf8, 0xc3 }, 9, 5, true },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_heap_probe probe;
		struct cprof_error *err = plan(rows[i].code, rows[i].n, &probe);
		if (err)
			TEST_FAIL("%s: %s", rows[i].what, err->message);
		if (probe.addr != ADDR + rows[i].at || probe.slow != rows[i].slow)
			TEST_FAIL("%s: at %llu, slow %d", rows[i].what,
				  (unsigned long long)(probe.addr - ADDR), probe.slow);
	}
}
