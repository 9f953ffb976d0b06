/* SPDX-License-Identifier: Apache-2.0 */
/* The way into take_import of code_ways.c that another object has: its symbol, and four bytes more. */
#ifdef __x86_64__
__asm__("\t.text\n\t.globl enter_import\n\t.type enter_import,@function\n"
	"enter_import:\n\tpush %rbx\n\tmov %rdi,%rbx\n\tnotrack jmp *word(%rip)\n"
	"\t.size enter_import,.-enter_import\n"
	"\t.section .data.rel.ro,\"aw\",@progbits\n\t.balign 8\nword:\t.quad take_import+4\n\t.text\n");
#endif
