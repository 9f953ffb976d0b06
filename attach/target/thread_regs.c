/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/thread_regs.h"

#if defined(__x86_64__)

/* Words of struct pt_regs and user_regs_struct. */
enum {
	WORD_ORIG_RAX = 15,
	WORD_RIP = 16,
};
static const uint8_t dwarf_of_word[CPROF_THREAD_REGS_WORDS] = {
	15,
	14,
	13,
	12,
	6,
	3,
	11,
	10,
	9,
	8,
	0,
	2,
	1,
	4,
	5, /* r15 .. r12 rbp rbx r11 .. r8 rax rcx rdx rsi rdi */
	CPROF_ARCH_SKIP,
	CPROF_ARCH_PC,
	CPROF_ARCH_SKIP,
	CPROF_ARCH_SKIP,
	7,
	CPROF_ARCH_SKIP,
};
static const uint8_t argument_words[6] = { 14, 13, 12, 7, 9, 8 }; /* rdi rsi rdx r10 r8 r9 */
static const uint8_t argument_dwarf[6] = { 5, 4, 1, 10, 8, 9 };
#define WORD_PC   WORD_RIP
#define WORD_SP   19
#define WORD_CALL WORD_ORIG_RAX

#else /* AArch64 */

static const uint8_t dwarf_of_word[CPROF_THREAD_REGS_WORDS] = {
	0,
	1,
	2,
	3,
	4,
	5,
	6,
	7,
	8,
	9,
	10,
	11,
	12,
	13,
	14,
	15,
	16,
	17,
	18,
	19,
	20,
	21,
	22,
	23,
	24,
	25,
	26,
	27,
	28,
	29,
	30,
	31,
	CPROF_ARCH_PC,
	CPROF_ARCH_SKIP,
};
static const uint8_t argument_words[6] = { 0, 1, 2, 3, 4, 5 };
static const uint8_t argument_dwarf[6] = { 0, 1, 2, 3, 4, 5 };
#define WORD_PC   32
#define WORD_SP   31
#define WORD_CALL 8

#endif

void cprof_thread_regs_from_kernel(const uint64_t *words, struct cprof_regs *ret_regs)
{
	*ret_regs = (struct cprof_regs){ 0 };
	for (size_t i = 0; i < CPROF_THREAD_REGS_WORDS; i++) {
		uint8_t dwarf = dwarf_of_word[i];
		if (dwarf == CPROF_ARCH_PC) {
			ret_regs->pc = words[i];
		} else if (dwarf != CPROF_ARCH_SKIP) {
			ret_regs->r[dwarf] = words[i];
			ret_regs->valid |= 1ull << dwarf;
		}
	}
}

void cprof_thread_regs_call(const uint64_t *words, struct cprof_thread_call *ret_call)
{
	*ret_call = (struct cprof_thread_call){
		.kind = CPROF_CALL_OUTSIDE,
		.nr = -1,
		.sp = words[WORD_SP],
		.pc = words[WORD_PC],
	};
	/* Interrupts and faults leave a negative number here (x86-64); no system call is that large. */
	if ((int64_t)words[WORD_CALL] < 0 || words[WORD_CALL] > 4095)
		return;
	ret_call->kind = CPROF_CALL_BLOCKED;
	ret_call->nr = (int64_t)words[WORD_CALL];
	for (size_t i = 0; i < 6; i++)
		ret_call->args[i] = words[argument_words[i]];
}

void cprof_thread_regs_from_call(const struct cprof_thread_call *call, struct cprof_regs *ret_regs)
{
	const struct cprof_arch *arch = cprof_arch_host();
	*ret_regs = (struct cprof_regs){ .pc = call->pc };
	ret_regs->r[arch->sp] = call->sp;
	ret_regs->valid = 1ull << arch->sp;
	if (call->kind != CPROF_CALL_BLOCKED)
		return;
	for (size_t i = 0; i < 6; i++) {
		ret_regs->r[argument_dwarf[i]] = call->args[i];
		ret_regs->valid |= 1ull << argument_dwarf[i];
	}
}
