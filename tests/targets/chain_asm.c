/* SPDX-License-Identifier: Apache-2.0 */
/* chain_asm fp|nofp|leaf - hand-written assembly that carries no call frame information. */
#include "chain.h"

void asm_fp(void (*call)(void));
void asm_nofp(void (*call)(void));
void asm_leaf(volatile sig_atomic_t *stop);

__asm__(".text\n"
	".type asm_fp,@function\n"
	"asm_fp: push %rbp\n mov %rsp,%rbp\n sub $48,%rsp\n call *%rdi\n leave\n ret\n"
	".size asm_fp,.-asm_fp\n"
	".type asm_nofp,@function\n"
	"asm_nofp: push %rbx\n push %rbp\n sub $40,%rsp\n mov $5,%ebx\n xor %ebp,%ebp\n"
	"test %rdi,%rdi\n jz 1f\n call *%rdi\n1: add $40,%rsp\n pop %rbp\n pop %rbx\n ret\n"
	".size asm_nofp,.-asm_nofp\n"
	".type asm_leaf,@function\n"
	"asm_leaf: push %rbx\n1: mov $1000,%ebx\n2: dec %ebx\n jnz 2b\n cmpl $0,(%rdi)\n jz 1b\n"
	"pop %rbx\n ret\n"
	".size asm_leaf,.-asm_leaf\n");

/* Keeps something in rbp across the call, so that a wrong rbp would be noticed further out. */
static NOINLINE void nofp_caller(void)
{
	asm_nofp(spin);
	NOT_TAIL();
}

static NOINLINE void fp_caller(void)
{
	asm_fp(spin);
	NOT_TAIL();
}

static NOINLINE void leaf_caller(void)
{
	asm_leaf(&chain_stop);
	NOT_TAIL();
}

/* Needs the right rbp to be walked. */
static NOINLINE void needs_rbp(void (*call)(void), size_t n)
{
	char *bytes = __builtin_alloca(n);
	__asm__ volatile("" : : "r"(bytes) : "memory");
	call();
	__asm__ volatile("" : : "r"(bytes) : "memory");
}

int main(int argc, char **argv)
{
	const char *which = argc > 1 ? argv[1] : "fp";
	if (strcmp(which, "fp") == 0) {
		printf("chain spin;asm_fp;fp_caller;needs_rbp;main\n");
		chain_ready();
		needs_rbp(fp_caller, (size_t)argc * 100);
	} else if (strcmp(which, "nofp") == 0) {
		printf("chain spin;asm_nofp;nofp_caller;needs_rbp;main\n");
		chain_ready();
		needs_rbp(nofp_caller, (size_t)argc * 100);
	} else {
		printf("chain asm_leaf;leaf_caller;needs_rbp;main\n");
		chain_ready();
		needs_rbp(leaf_caller, (size_t)argc * 100);
	}
	return 0;
}
