/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/unwind/unwind_switch.h"

#include <dwarf.h>
#include <elf.h>
#include <string.h>

#define CODE_MAX  48 /* bytes, of which the last may lie past the end of the code */
#define CODE_MIN  16
#define CODE_STEP 8

enum { RBP = 6, RSP = 7 };

struct code {
	uint8_t bytes[CODE_MAX];
	size_t n, at;
};

static bool fetch(const struct cprof_memory *memory, uint64_t pc, struct code *code)
{
	code->at = 0;
	for (code->n = CODE_MAX; code->n >= CODE_MIN; code->n -= CODE_STEP) {
		if (memory->read(memory->ctx, pc, code->bytes, code->n))
			return true;
	}
	return false;
}

/* The next instruction begins with these bytes, and `more` follow that may be any. */
static bool take(struct code *code, const char *bytes, size_t n, size_t more)
{
	if (n + more > code->n - code->at || memcmp(code->bytes + code->at, bytes, n) != 0)
		return false;
	code->at += n + more;
	return true;
}

/* An instruction of two bytes before its ModRM byte, with a register and a word at rsp + *ret_offset, less than 64. */
static bool take_stack_word(struct code *code, const char *opcode, uint8_t reg, uint8_t *ret_offset)
{
	const char at_sp[] = { opcode[0], opcode[1], (char)(reg << 3 | 4), 0x24 };
	const char above_sp[] = { opcode[0], opcode[1], (char)(0x40 | reg << 3 | 4), 0x24 };
	*ret_offset = 0;
	if (take(code, at_sp, sizeof(at_sp), 0))
		return true;
	if (!take(code, above_sp, sizeof(above_sp), 1))
		return false;
	*ret_offset = code->bytes[code->at - 1];
	return *ret_offset < 64;
}

/* mov %rsi,%rsp; mov %eax,n(%rsp); perhaps pop %rbp; ret */
static bool take_return(struct code *code, bool *ret_pops)
{
	if (!take(code, "\x48\x89\xf4", 3, 0) || !take(code, "\x89\x44\x24", 3, 1))
		return false;
	*ret_pops = take(code, "\x5d", 1, 0);
	return take(code, "\xc3", 1, 0);
}

/* What the thread is running, in its own storage: at a place that is known, or that was read before. */
static bool take_set_g(struct code *code)
{
	return take(code, "\x64\x48\x89\x3c\x25", 5, 4) || take(code, "\x64\x48\x89\x39", 4, 0);
}

static void put(struct cprof_unwind_switch *to, uint8_t op)
{
	to->expr[to->n++] = op;
}

/* The word at rsp + `offset`, which is less than 64: one byte holds it. */
static void put_stack_word(struct cprof_unwind_switch *to, uint8_t offset)
{
	put(to, DW_OP_breg7);
	put(to, offset);
	put(to, DW_OP_deref);
}

/* From a goroutine's stack: rsp = (goroutine->stack.hi) - (its depth). */
static bool from_goroutine(struct code *code, struct cprof_unwind_switch *to, bool *ret_pops)
{
	uint8_t goroutine, depth, high;
	code->at = 0;
	if (!take(code, "\x48\x8b\x0d", 3, 4))
		(void)take(code, "\x48\xc7\xc1", 3, 4);
	if (!take_stack_word(code, "\x48\x8b", 7, &goroutine) || !take(code, "\x48\x8b\x77", 3, 1))
		return false;
	high = code->bytes[code->at - 1];
	if (high >= 32 || !take_stack_word(code, "\x48\x2b", 6, &depth) || !take_set_g(code) ||
	    !take_return(code, ret_pops))
		return false;
	put_stack_word(to, goroutine);
	put(to, (uint8_t)(DW_OP_lit0 + high));
	put(to, DW_OP_plus);
	put(to, DW_OP_deref);
	put_stack_word(to, depth);
	put(to, DW_OP_minus);
	return true;
}

/* From the thread's own stack: rsp = what was kept. */
static bool from_thread(struct code *code, struct cprof_unwind_switch *to, bool *ret_pops)
{
	uint8_t kept;
	code->at = 0;
	if (!take_stack_word(code, "\x48\x8b", 6, &kept) || !take_return(code, ret_pops))
		return false;
	put_stack_word(to, kept);
	return true;
}

bool cprof_unwind_switch_rule(const struct cprof_arch *arch, const struct cprof_memory *memory,
			      uint64_t pc, struct cprof_unwind_switch *ret_switch,
			      struct cprof_unwind_rule *ret_rule)
{
	struct code code;
	struct cprof_unwind_switch found = { .n = 0 };
	bool pops = false;
	if (arch->elf_machine != EM_X86_64 || !fetch(memory, pc, &code) ||
	    (!from_goroutine(&code, &found, &pops) && !from_thread(&code, &found, &pops)))
		return false;
	put(&found, (uint8_t)(DW_OP_lit0 + (pops ? 16 : 8)));
	put(&found, DW_OP_plus);
	*ret_switch = found;
	memset(ret_rule, 0, sizeof(*ret_rule)); /* padding too: rules are compared as bytes */
	ret_rule->cfa = CPROF_CFA_EXPR;
	ret_rule->doubted = true;
	ret_rule->ra = (struct cprof_unwind_place){ .from = CPROF_FROM_CFA, .offset = -8 };
	ret_rule->ra.reg = arch->ra;
	if (pops)
		ret_rule->places[ret_rule->n_places++] = (struct cprof_unwind_place){
			.reg = RBP, .from = CPROF_FROM_CFA, .offset = -16
		};
	return true;
}
