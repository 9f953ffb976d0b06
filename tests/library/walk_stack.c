/* SPDX-License-Identifier: Apache-2.0 */
/* Somebody else's program: walks its own stack and names the functions on it, the innermost first. */
#define _GNU_SOURCE
#include <cprof/symbolizer.h>
#include <cprof/unwind.h>

#include <stdio.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

static struct cprof_error *walk(const struct cprof_regs *regs);

static bool read_own(void *ctx, uint64_t addr, void *buf, size_t n)
{
	(void)ctx;
	memcpy(buf, (const void *)(uintptr_t)addr,
	       n); /* of its own stack and text: they are there */
	return true;
}

static void take_registers(const ucontext_t *context, struct cprof_regs *regs)
{
	memset(regs, 0, sizeof(*regs));
#if defined(__x86_64__)
	/* By DWARF number: rbx 3, rbp 6, rsp 7, r12 to r15. */
	static const struct {
		int dwarf, number;
	} saved[] = { { 3, REG_RBX },  { 6, REG_RBP },  { 7, REG_RSP }, { 12, REG_R12 },
		      { 13, REG_R13 }, { 14, REG_R14 }, { 15, REG_R15 } };
	for (size_t i = 0; i < sizeof(saved) / sizeof(saved[0]); i++) {
		regs->r[saved[i].dwarf] = (uint64_t)context->uc_mcontext.gregs[saved[i].number];
		regs->valid |= UINT64_C(1) << saved[i].dwarf;
	}
	regs->pc = (uint64_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	for (int i = 0; i < 31; i++) {
		regs->r[i] = context->uc_mcontext.regs[i];
		regs->valid |= UINT64_C(1) << i;
	}
	regs->r[31] = context->uc_mcontext.sp;
	regs->valid |= UINT64_C(1) << 31;
	regs->pc = context->uc_mcontext.pc;
#endif
}

__attribute__((noinline)) static struct cprof_error *innermost(void)
{
	ucontext_t context;
	struct cprof_regs regs;
	getcontext(&context);
	take_registers(&context, &regs);
	return walk(&regs);
}

__attribute__((noinline)) static struct cprof_error *outermost(void)
{
	struct cprof_error *err = innermost();
	__asm__ volatile(
		"" ::
			: "memory"); /* so that the call above is none in the place of a return */
	return err;
}

static struct cprof_error *print(struct cprof_symbolizer *symbolizer, const struct cprof_maps *maps,
				 const struct cprof_stack *stack)
{
	for (size_t i = 0; i < stack->len; i++) {
		const uint64_t addr = cprof_code_addr_lookup(stack->frames[i].code);
		const struct cprof_symbol_frame *frames;
		size_t n;
		struct cprof_error *err = cprof_symbolizer_addr(
			symbolizer, maps, cprof_maps_find(maps, addr), addr, &frames, &n);
		if (err)
			return err;
		for (size_t k = 0; k < n; k++)
			printf("%s\n", frames[k].name);
	}
	printf("end: %s\n", cprof_stop_name(stack->stop));
	return NULL;
}

static struct cprof_error *walk(const struct cprof_regs *regs)
{
	const struct cprof_symbolizer_options options = { .demangle = CPROF_DEMANGLE_SHORT };
	const struct cprof_memory memory = { .read = read_own };
	struct cprof_frame frames[64];
	struct cprof_stack stack = { .frames = frames, .cap = 64 };
	struct cprof_symbolizer *symbolizer = NULL;
	struct cprof_unwinder *unwinder = NULL;
	struct cprof_modules modules;
	struct cprof_maps maps;
	const struct cprof_unwind_input input = { .maps = &maps, .regs = regs, .stack = &memory };
	cprof_maps_init(&maps, getpid(), memory);
	cprof_modules_init(&modules);
	struct cprof_error *err = cprof_maps_refresh(&maps);
	if (!err)
		err = cprof_unwinder_new(cprof_arch_host(), &modules, &unwinder);
	if (!err)
		err = cprof_symbolizer_new(&options, &modules, &symbolizer);
	if (!err) {
		cprof_unwind(unwinder, &input, &stack);
		err = print(symbolizer, &maps, &stack);
	}
	cprof_symbolizer_free(symbolizer);
	cprof_unwinder_free(unwinder);
	cprof_modules_deinit(&modules);
	cprof_maps_deinit(&maps);
	return err;
}

int main(void)
{
	struct cprof_error *err = outermost();
	if (err)
		fprintf(stderr, "%s\n", err->message);
	cprof_error_free(err);
	return err != NULL;
}
