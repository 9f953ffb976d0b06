/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/unwind.h"

#include <execinfo.h>
#include <fcntl.h>
#include <stdio.h>
#include <ucontext.h>
#include <unistd.h>

#include "tests/unit/test.h"

#if defined(__x86_64__) /* registers by name; test_unwind_walk.c needs no machine */

/* A stack copied at one moment, as in a perf sample. */
struct copy {
	uint64_t start;
	size_t size;
	uint8_t bytes[16384];
};

static bool copy_read(void *ctx, uint64_t addr, void *buf, size_t n)
{
	const struct copy *copy = ctx;
	if (addr < copy->start || addr - copy->start > copy->size ||
	    n > copy->size - (addr - copy->start))
		return false;
	memcpy(buf, copy->bytes + (addr - copy->start), n);
	return true;
}

static void regs_of(const ucontext_t *context, struct cprof_regs *regs)
{
	static const int greg_of_dwarf[] = { REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
					     REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
					     REG_R12, REG_R13, REG_R14, REG_R15 };
	*regs = (struct cprof_regs){ .pc = (uint64_t)context->uc_mcontext.gregs[REG_RIP],
				     .valid = 0xffff };
	for (size_t i = 0; i < 16; i++)
		regs->r[i] = (uint64_t)context->uc_mcontext.gregs[greg_of_dwarf[i]];
}

struct capture {
	struct cprof_regs regs;
	struct copy copy;
	void *truth[64];
	int n_truth;
};

static __attribute__((noinline)) void capture(struct capture *c)
{
	ucontext_t context;
	getcontext(&context);
	regs_of(&context, &c->regs);
	c->copy.start = c->regs.r[7];
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	ssize_t n = pread(mem, c->copy.bytes, sizeof(c->copy.bytes), (off_t)c->copy.start);
	close(mem);
	CHECK(n > 0);
	c->copy.size = (size_t)n;
	c->n_truth = backtrace(c->truth, 64);
}

static int compare_and_capture(const void *a, const void *b, void *c)
{
	(void)a;
	(void)b;
	capture(c);
	return 0;
}

TEST(unwind_of_our_own_stack_agrees_with_libgcc_up_to_the_root)
{
	struct cprof_modules modules;
	struct cprof_maps maps;
	struct cprof_unwinder *unwinder;
	struct cprof_frame frames[64];
	struct cprof_stack stack = { .frames = frames, .cap = 64 };
	static struct capture c;
	int numbers[2] = { 1, 2 };

	cprof_modules_init(&modules);
	cprof_maps_init(&maps, getpid(), (struct cprof_memory){ 0 });
	qsort_r(numbers, 2, sizeof(int), compare_and_capture, &c);
	CHECK(!cprof_maps_refresh(&maps));
	CHECK(!cprof_unwinder_new(cprof_arch_host(), &modules, &unwinder));
	const struct cprof_memory copy = { copy_read, &c.copy };
	const struct cprof_unwind_input input = { .maps = &maps, .regs = &c.regs, .stack = &copy };
	for (int round = 0; round < 2; round++) {
		cprof_unwind(unwinder, &input, &stack);
		CHECK_UINT(stack.stop, CPROF_STOP_ROOT);
		/* Inside of our caller stands what took the truth: backtrace() and whatever wraps it. */
		CHECK(stack.len >= 5 && (size_t)c.n_truth >= stack.len);
		for (size_t i = 1; i < stack.len; i++)
			CHECK_UINT(frames[i].code.addr,
				   (uintptr_t)c.truth[(size_t)c.n_truth - stack.len + i]);
	}
	struct cprof_unwind_stats stats;
	cprof_unwinder_stats(unwinder, &stats);
	CHECK_UINT(stats.walks, 2);
	CHECK_UINT(stats.stops[CPROF_STOP_ROOT], 2);
	CHECK_UINT(stats.guessed, 0);
	/* Two frames may share a place in the cache, as the addresses fall; all of them do not. */
	CHECK(stats.cache_hits > 0);
	cprof_unwinder_free(unwinder);
	cprof_maps_deinit(&maps);
	cprof_modules_deinit(&modules);
}

#endif
