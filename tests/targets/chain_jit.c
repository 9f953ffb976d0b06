/* SPDX-License-Identifier: Apache-2.0 */
/* chain_jit fp|nofp - through code that was made at run time and that nobody describes. */
#include <sys/mman.h>

#include "chain.h"

static const unsigned char with_fp[] = { 0x55,                              /* push %rbp */
					 0x48, 0x89, 0xe5,                  /* mov %rsp,%rbp */
					 0x48, 0x83, 0xec, 0x20,            /* sub $32,%rsp */
					 0xff, 0xd7,                        /* call *%rdi */
					 0xc9, 0xc3 };                      /* leave; ret */
static const unsigned char without_fp[] = { 0x48, 0x83, 0xec, 0x38,         /* sub $56,%rsp */
					    0xff, 0xd7,                     /* call *%rdi */
					    0x48, 0x83, 0xc4, 0x38, 0xc3 }; /* add $56,%rsp; ret */

static NOINLINE void jit_caller(void (*code)(void (*)(void)))
{
	code(spin);
	NOT_TAIL();
}

int main(int argc, char **argv)
{
	int fp = argc < 2 || strcmp(argv[1], "nofp") != 0;
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy((char *)page + 64, fp ? with_fp : without_fp,
	       fp ? sizeof(with_fp) : sizeof(without_fp));
	mprotect(page, 4096, PROT_READ | PROT_EXEC);
	printf("chain spin;?;jit_caller;main\n");
	chain_ready();
	jit_caller((void (*)(void (*)(void)))((uintptr_t)page + 64));
	return 0;
}
