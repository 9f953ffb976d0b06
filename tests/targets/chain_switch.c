/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain_switch - code that moves to another stack and back, with call frame information that says so, as
 * stack-growing libraries do: from the thread's stack to a lower one, and from there to a higher one again.
 */
#include "chain.h"

void on_stack(void *top, void (*call)(void));

__asm__(".text\n"
	".type on_stack,@function\n"
	"on_stack: .cfi_startproc\n"
	"push %rbp\n .cfi_def_cfa_offset 16\n .cfi_offset %rbp,-16\n"
	"mov %rsp,%rbp\n .cfi_def_cfa_register %rbp\n"
	"mov %rdi,%rsp\n call *%rsi\n"
	"mov %rbp,%rsp\n pop %rbp\n .cfi_def_cfa %rsp,8\n ret\n"
	".cfi_endproc\n"
	".size on_stack,.-on_stack\n");

static char low[65536] __attribute__((aligned(16)));
static char *high;

static NOINLINE void on_high(void)
{
	spin();
	NOT_TAIL();
}

static NOINLINE void on_low(void)
{
	on_stack(high + 32768, on_high);
	NOT_TAIL();
}

int main(void)
{
	char block[32768] __attribute__((aligned(16)));
	high = block;
	printf("chain spin;on_high;on_stack;on_low;on_stack;main\n");
	chain_ready();
	on_stack(low + sizeof(low), on_low);
	return 0;
}
