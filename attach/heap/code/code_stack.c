/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/code/code_stack.h"

#define WORD 8
/* The flags that a comparison sets, and conditions look at. */
#define COMPARED                                                                                   \
	(ZYDIS_CPUFLAG_CF | ZYDIS_CPUFLAG_PF | ZYDIS_CPUFLAG_ZF | ZYDIS_CPUFLAG_SF |               \
	 ZYDIS_CPUFLAG_OF)
#define ARITHMETIC (COMPARED | ZYDIS_CPUFLAG_AF)
/* Further away than any frame: numbers stay far from overflow. */
#define DEPTH_MAX (1 << 28)
/* rt_sigreturn, Linux arch/x86/entry/syscalls/syscall_64.tbl: it loads every register, the stack pointer as well. */
#define SIGRETURN 15

const struct cprof_code_stack cprof_code_stack_entry = { .exact = true };

static ZydisRegister whole(ZydisRegister reg)
{
	return ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
}

static bool is_register(const ZydisDecodedOperand *operand, ZydisRegister reg)
{
	return operand->type == ZYDIS_OPERAND_TYPE_REGISTER && whole(operand->reg.value) == reg;
}

static bool writes(const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *operands,
		   ZydisRegister reg)
{
	for (size_t i = 0; i < insn->operand_count; i++) {
		if (is_register(&operands[i], reg) &&
		    (operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			return true;
	}
	return false;
}

/* ---- memory ---- */

/* How far above the entry's stack pointer the operand begins at most; false: it is not on the stack, as far as is known. */
static bool above_entry(const struct cprof_code_stack *stack, const ZydisDecodedOperand *operand,
			int64_t *ret_offset)
{
	const ZydisRegister base = whole(operand->mem.base);
	if (base == ZYDIS_REGISTER_RSP)
		*ret_offset = operand->mem.disp.value - stack->depth;
	else if (base == ZYDIS_REGISTER_RBP && stack->has_frame)
		*ret_offset = operand->mem.disp.value - stack->frame;
	else
		return false;
	return true;
}

static bool is_exact(const struct cprof_code_stack *stack, const ZydisDecodedOperand *operand)
{
	return whole(operand->mem.base) == ZYDIS_REGISTER_RSP ? stack->exact : stack->frame_exact;
}

static void look_at_memory(const struct cprof_code_stack *stack, const ZydisDecodedOperand *operand,
			   struct cprof_code_stack_effect *effect)
{
	int64_t offset;
	if (operand->type != ZYDIS_OPERAND_TYPE_MEMORY ||
	    operand->visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT ||
	    !above_entry(stack, operand, &offset))
		return;
	const bool indexed = operand->mem.index != ZYDIS_REGISTER_NONE;
	const int64_t end = offset + (operand->size > WORD * 8 ? operand->size / 8 : WORD);
	/* An array that begins in the frame ends in it. */
	if (offset >= WORD || (indexed && offset >= 0) || (offset >= 0 && end > 2 * (int64_t)WORD))
		effect->reads_arguments = true;
	const bool writes_it = operand->mem.type == ZYDIS_MEMOP_TYPE_MEM &&
			       (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE);
	if (writes_it && is_exact(stack, operand) && offset > -WORD && offset < WORD)
		effect->trick = "it writes over its return address";
}

/* ---- the stack pointer ---- */

static void deepen(struct cprof_code_stack *stack, int64_t by,
		   struct cprof_code_stack_effect *effect)
{
	const int64_t depth = stack->depth + by;
	if (depth > DEPTH_MAX || depth < -DEPTH_MAX || (depth < 0 && stack->exact))
		effect->trick = "it takes more from the stack than it put there";
	if (depth <= DEPTH_MAX && depth >= -DEPTH_MAX)
		stack->depth = (int32_t)depth;
}

static void load_frame(struct cprof_code_stack *stack, struct cprof_code_stack_effect *effect)
{
	if (!stack->has_frame) {
		effect->trick = "it loads the stack pointer";
		return;
	}
	stack->depth = stack->frame;
	stack->exact = stack->frame_exact;
}

static void lea_stack(struct cprof_code_stack *stack, const ZydisDecodedOperand *from,
		      struct cprof_code_stack_effect *effect)
{
	const ZydisRegister base = whole(from->mem.base);
	if (from->mem.index != ZYDIS_REGISTER_NONE ||
	    (base != ZYDIS_REGISTER_RSP && base != ZYDIS_REGISTER_RBP)) {
		effect->trick = "it loads the stack pointer";
		return;
	}
	if (base == ZYDIS_REGISTER_RBP)
		load_frame(stack, effect);
	if (!effect->trick)
		deepen(stack, -from->mem.disp.value, effect);
}

/* An instruction with rsp as the place of its result. */
static void change_stack(struct cprof_code_stack *stack, const ZydisDecodedInstruction *insn,
			 const ZydisDecodedOperand *operands,
			 struct cprof_code_stack_effect *effect)
{
	const ZydisDecodedOperand *to = &operands[0], *from = &operands[1];
	const bool immediate =
		insn->operand_count > 1 && from->type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	if (!is_register(to, ZYDIS_REGISTER_RSP) || to->size != WORD * 8) {
		effect->trick = "it loads the stack pointer";
		return;
	}
	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_SUB:
		if (immediate)
			deepen(stack, from->imm.value.s, effect);
		else
			stack->exact = false; /* room whose size is computed: alloca() */
		return;
	case ZYDIS_MNEMONIC_ADD:
		if (immediate)
			deepen(stack, -from->imm.value.s, effect);
		else
			effect->trick = "it loads the stack pointer";
		return;
	case ZYDIS_MNEMONIC_AND:
		if (!immediate || from->imm.value.s >= 0)
			effect->trick = "it loads the stack pointer";
		stack->exact = false;
		return;
	case ZYDIS_MNEMONIC_LEA:
		lea_stack(stack, from, effect);
		return;
	case ZYDIS_MNEMONIC_MOV:
		if (is_register(from, ZYDIS_REGISTER_RBP))
			load_frame(stack, effect);
		else
			effect->trick = "it loads the stack pointer";
		return;
	case ZYDIS_MNEMONIC_OR:
	case ZYDIS_MNEMONIC_TEST:
	case ZYDIS_MNEMONIC_CMP:
		if (immediate && from->imm.value.s == 0)
			return; /* a probe of the stack: orq $0 */
		effect->trick = "it loads the stack pointer";
		return;
	default:
		effect->trick = "it loads the stack pointer";
	}
}

/* push and pop, of which Zydis says how much they move, and what changes rsp in other ways. */
static void step_stack(struct cprof_code_stack *stack, const ZydisDecodedInstruction *insn,
		       const ZydisDecodedOperand *operands, struct cprof_code_stack_effect *effect)
{
	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_PUSH:
	case ZYDIS_MNEMONIC_PUSHFQ:
		deepen(stack, insn->operand_width == 16 ? 2 : WORD, effect);
		return;
	case ZYDIS_MNEMONIC_POP:
	case ZYDIS_MNEMONIC_POPFQ:
		if (is_register(&operands[0], ZYDIS_REGISTER_RSP))
			effect->trick = "it loads the stack pointer";
		deepen(stack, insn->operand_width == 16 ? -2 : -WORD, effect);
		return;
	case ZYDIS_MNEMONIC_LEAVE:
		load_frame(stack, effect);
		deepen(stack, -WORD, effect);
		return;
	case ZYDIS_MNEMONIC_CALL:
	case ZYDIS_MNEMONIC_RET:
	case ZYDIS_MNEMONIC_SYSCALL:
		return;
	default:
		change_stack(stack, insn, operands, effect);
	}
}

/* ---- the frame pointer and the rest ---- */

static void step_frame(struct cprof_code_stack *stack, const struct cprof_code_stack *before,
		       const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *operands)
{
	const ZydisDecodedOperand *from = &operands[1];
	stack->has_frame = false;
	if (!is_register(&operands[0], ZYDIS_REGISTER_RBP) || operands[0].size != WORD * 8)
		return;
	if (insn->mnemonic == ZYDIS_MNEMONIC_MOV && is_register(from, ZYDIS_REGISTER_RSP)) {
		stack->frame = before->depth;
	} else if (insn->mnemonic == ZYDIS_MNEMONIC_LEA &&
		   whole(from->mem.base) == ZYDIS_REGISTER_RSP &&
		   from->mem.index == ZYDIS_REGISTER_NONE && from->mem.disp.value < DEPTH_MAX &&
		   from->mem.disp.value > -DEPTH_MAX) {
		stack->frame = before->depth - (int32_t)from->mem.disp.value;
	} else {
		return;
	}
	stack->has_frame = true;
	stack->frame_exact = before->exact;
}

static void step_number(struct cprof_code_stack *stack, const ZydisDecodedInstruction *insn,
			const ZydisDecodedOperand *operands)
{
	stack->has_number = insn->mnemonic == ZYDIS_MNEMONIC_MOV && operands[0].size >= 32 &&
			    operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	stack->number = stack->has_number ? (uint32_t)operands[1].imm.value.u : 0;
}

static uint8_t scratch_of(const ZydisDecodedOperand *operand, ZydisRegister part)
{
	switch (whole(part)) {
	case ZYDIS_REGISTER_RAX:
		return CPROF_CODE_RAX;
	case ZYDIS_REGISTER_R10:
		return CPROF_CODE_R10;
	case ZYDIS_REGISTER_R11:
		return CPROF_CODE_R11;
	default:
		return operand->type == ZYDIS_OPERAND_TYPE_REGISTER && part == ZYDIS_REGISTER_RFLAGS
			       ? CPROF_CODE_FLAGS
			       : 0;
	}
}

/* A register is set, not read, by xor and sub with itself; one is pushed as likely as not to make room. */
static bool reads_nothing(const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *operands)
{
	if (insn->mnemonic == ZYDIS_MNEMONIC_PUSH || insn->mnemonic == ZYDIS_MNEMONIC_NOP)
		return true;
	return (insn->mnemonic == ZYDIS_MNEMONIC_XOR || insn->mnemonic == ZYDIS_MNEMONIC_SUB) &&
	       operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       operands[0].reg.value == operands[1].reg.value;
}

/* A push of the instruction pointer, and no call. */
static bool calls_what_follows(const ZydisDecodedInstruction *insn)
{
	return insn->raw.imm[0].is_relative && insn->raw.imm[0].value.s == 0;
}

static void step_scratch(struct cprof_code_stack *stack, const ZydisDecodedInstruction *insn,
			 const ZydisDecodedOperand *operands,
			 struct cprof_code_stack_effect *effect)
{
	const bool nothing = reads_nothing(insn, operands);
	uint8_t read = 0, written = 0;
	for (size_t i = 0; i < insn->operand_count; i++) {
		const ZydisDecodedOperand *operand = &operands[i];
		if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY)
			read |= scratch_of(operand, operand->mem.base) |
				scratch_of(operand, operand->mem.index);
		if (operand->type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		const uint8_t one = scratch_of(operand, operand->reg.value);
		if (one != CPROF_CODE_FLAGS && !nothing &&
		    (operand->actions & ZYDIS_OPERAND_ACTION_MASK_READ))
			read |= one;
		/* A part of a register leaves the rest as it was. */
		if (one != CPROF_CODE_FLAGS && operand->size >= 32 &&
		    (operand->actions & ZYDIS_OPERAND_ACTION_WRITE))
			written |= one;
	}
	if (insn->cpu_flags && insn->cpu_flags->tested & ARITHMETIC)
		read |= CPROF_CODE_FLAGS;
	/* Others leave some of them as they were, or undefined, which is often the same. */
	if (insn->cpu_flags && (COMPARED & ~(insn->cpu_flags->modified | insn->cpu_flags->set_0 |
					     insn->cpu_flags->set_1)) == 0)
		written |= CPROF_CODE_FLAGS;
	/* What it returns. Of the others a caller may know more than the psABI promises. */
	if (insn->mnemonic == ZYDIS_MNEMONIC_CALL && !calls_what_follows(insn))
		written |= CPROF_CODE_RAX;
	effect->reads = read & (uint8_t)~stack->written;
	stack->written |= written;
}

/* Instructions that end a piece of code or change what code there is; none has a place in an allocator. */
static const char *foreign(const struct cprof_code_stack *stack,
			   const ZydisDecodedInstruction *insn)
{
	switch (insn->meta.category) {
	case ZYDIS_CATEGORY_INTERRUPT:
		return insn->mnemonic == ZYDIS_MNEMONIC_INT3 ? NULL
							     : "it has an interrupt of its own";
	case ZYDIS_CATEGORY_SYSRET:
		return "it returns from an interrupt";
	case ZYDIS_CATEGORY_SYSCALL:
		if (insn->mnemonic != ZYDIS_MNEMONIC_SYSCALL)
			return "it has an interrupt of its own";
		return stack->has_number && stack->number == SIGRETURN ? "it returns from a signal"
								       : NULL;
	default:
		break;
	}
	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_IRET:
	case ZYDIS_MNEMONIC_IRETD:
	case ZYDIS_MNEMONIC_IRETQ:
	case ZYDIS_MNEMONIC_RSTORSSP:
	case ZYDIS_MNEMONIC_SETSSBSY:
	case ZYDIS_MNEMONIC_WRFSBASE:
	case ZYDIS_MNEMONIC_WRGSBASE:
		return "it changes what stack or thread it runs on";
	default:
		return NULL;
	}
}

/* The address at the entry's stack pointer in another register: what is read by it may be arguments. */
static bool copies_entry(const struct cprof_code_stack *stack, const ZydisDecodedInstruction *insn,
			 const ZydisDecodedOperand *operands)
{
	return insn->mnemonic == ZYDIS_MNEMONIC_MOV && stack->depth <= 0 &&
	       is_register(&operands[1], ZYDIS_REGISTER_RSP) &&
	       !is_register(&operands[0], ZYDIS_REGISTER_RBP);
}

struct cprof_code_stack_effect cprof_code_stack_step(struct cprof_code_stack *stack,
						     const ZydisDecodedInstruction *insn,
						     const ZydisDecodedOperand *operands)
{
	const struct cprof_code_stack before = *stack;
	struct cprof_code_stack_effect effect = { .trick = foreign(stack, insn) };
	const bool nop = insn->mnemonic == ZYDIS_MNEMONIC_NOP;
	for (size_t i = 0; !nop && i < insn->operand_count; i++)
		look_at_memory(&before, &operands[i], &effect);
	if (copies_entry(&before, insn, operands))
		effect.reads_arguments = true;
	if (writes(insn, operands, ZYDIS_REGISTER_RSP))
		step_stack(stack, insn, operands, &effect);
	if (writes(insn, operands, ZYDIS_REGISTER_RBP))
		step_frame(stack, &before, insn, operands);
	if (writes(insn, operands, ZYDIS_REGISTER_RAX) || insn->mnemonic == ZYDIS_MNEMONIC_CALL)
		step_number(stack, insn, operands);
	step_scratch(stack, insn, operands, &effect);
	return effect;
}

/* ---- joining ---- */

static bool same(const struct cprof_code_stack *a, const struct cprof_code_stack *b)
{
	return a->depth == b->depth && a->exact == b->exact && a->has_frame == b->has_frame &&
	       (!a->has_frame || (a->frame == b->frame && a->frame_exact == b->frame_exact)) &&
	       a->has_number == b->has_number && a->number == b->number && a->written == b->written;
}

bool cprof_code_stack_join(struct cprof_code_stack *stack, const struct cprof_code_stack *other)
{
	const struct cprof_code_stack before = *stack;
	stack->exact = stack->exact && other->exact && stack->depth == other->depth;
	if (other->depth < stack->depth)
		stack->depth = other->depth;
	if (!other->has_frame || (stack->has_frame && stack->frame != other->frame))
		stack->has_frame = false;
	stack->frame_exact = stack->frame_exact && other->frame_exact;
	if (!other->has_number || stack->number != other->number)
		stack->has_number = false;
	if (!stack->has_number)
		stack->number = 0;
	stack->written &= other->written;
	return !same(&before, stack);
}
