/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/patch_first.h"

#include <Zydis/Zydis.h>
#include <string.h>

/* What the instruction is made of, as far as it is looked at. */
struct first {
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

static ZydisRegister whole(ZydisRegister part)
{
	return ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, part);
}

static bool is_general(ZydisRegister reg)
{
	ZydisRegisterClass class = ZydisRegisterGetClass(reg);
	return class == ZYDIS_REGCLASS_GPR8 || class == ZYDIS_REGCLASS_GPR16 ||
	       class == ZYDIS_REGCLASS_GPR32 || class == ZYDIS_REGCLASS_GPR64;
}

static bool reads(const ZydisDecodedOperand *operand, ZydisRegister reg)
{
	if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER)
		return whole(operand->reg.value) == reg;
	return operand->type == ZYDIS_OPERAND_TYPE_MEMORY &&
	       (whole(operand->mem.base) == reg || whole(operand->mem.index) == reg);
}

/*
 * A register that the caller does not expect to survive and the stub does not look at. Those that a function has to
 * preserve (System V psABI, "Register Usage") it cannot begin with.
 */
static bool may_be_written(ZydisRegister reg, uint8_t arguments)
{
	static const ZydisRegister argument[CPROF_SHIM_ARGS] = {
		ZYDIS_REGISTER_RDI, ZYDIS_REGISTER_RSI, ZYDIS_REGISTER_RDX,
		ZYDIS_REGISTER_RCX, ZYDIS_REGISTER_R8,  ZYDIS_REGISTER_R9,
	};
	for (unsigned i = 0; i < CPROF_SHIM_ARGS; i++) {
		if (reg == argument[i])
			return !(arguments >> i & 1);
	}
	return reg == ZYDIS_REGISTER_RAX || reg == ZYDIS_REGISTER_R10 || reg == ZYDIS_REGISTER_R11;
}

/* Its result is the same the second time, and all of the register is result. */
static bool is_repeatable(const struct first *first, uint8_t arguments)
{
	const ZydisDecodedOperand *to = &first->operands[0], *from = &first->operands[1];
	switch (first->insn.mnemonic) {
	case ZYDIS_MNEMONIC_NOP:
	case ZYDIS_MNEMONIC_TEST:
	case ZYDIS_MNEMONIC_CMP:
		return true; /* flags mean nothing between functions */
	case ZYDIS_MNEMONIC_XOR:
		return to->type == ZYDIS_OPERAND_TYPE_REGISTER &&
		       from->type == ZYDIS_OPERAND_TYPE_REGISTER &&
		       to->reg.value == from->reg.value && to->size >= 32 &&
		       is_general(to->reg.value) && may_be_written(whole(to->reg.value), arguments);
	case ZYDIS_MNEMONIC_MOV:
	case ZYDIS_MNEMONIC_MOVZX:
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD:
	case ZYDIS_MNEMONIC_LEA:
		return to->type == ZYDIS_OPERAND_TYPE_REGISTER && to->size >= 32 &&
		       is_general(to->reg.value) &&
		       may_be_written(whole(to->reg.value), arguments) &&
		       (from->type != ZYDIS_OPERAND_TYPE_REGISTER || is_general(from->reg.value)) &&
		       !reads(from, whole(to->reg.value));
	default:
		return false;
	}
}

/* How far it moves the stack pointer down; 0: it does not, or does more than that. */
static int64_t lowers_stack(const struct first *first)
{
	const ZydisDecodedOperand *to = &first->operands[0], *by = &first->operands[1];
	if (first->insn.mnemonic == ZYDIS_MNEMONIC_PUSH)
		return to->type == ZYDIS_OPERAND_TYPE_REGISTER && to->size == 64 &&
				       is_general(to->reg.value)
			       ? 8
			       : 0;
	if ((first->insn.mnemonic != ZYDIS_MNEMONIC_SUB &&
	     first->insn.mnemonic != ZYDIS_MNEMONIC_ADD) ||
	    to->type != ZYDIS_OPERAND_TYPE_REGISTER || to->reg.value != ZYDIS_REGISTER_RSP ||
	    by->type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
		return 0;
	/* sub $imm,%rsp; add $-128,%rsp, which is one byte shorter than its opposite. */
	return first->insn.mnemonic == ZYDIS_MNEMONIC_SUB ? by->imm.value.s : -by->imm.value.s;
}

/* lea by(%rsp),%rsp: no flags, no memory. */
static void take_back(struct cprof_patch_first *first, int32_t by)
{
	first->undo[0] = 0x48;
	first->undo[1] = 0x8d;
	first->undo[3] = 0x24;
	if (by == (int8_t)by) {
		first->undo[2] = 0x64;
		first->undo[4] = (uint8_t)by;
		first->undo_len = 5;
		return;
	}
	first->undo[2] = 0xa4;
	memcpy(first->undo + 4, &by, sizeof(by));
	first->undo_len = 8;
}

bool cprof_patch_first(const uint8_t *code, size_t n, uint8_t arguments,
		       struct cprof_patch_first *ret_first)
{
	ZydisDecoder decoder;
	struct first first;
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code, n, &first.insn, first.operands)))
		return false;
	*ret_first = (struct cprof_patch_first){ .length = first.insn.length };
	if (is_repeatable(&first, arguments))
		return true;
	int64_t by = lowers_stack(&first);
	if (by <= 0 || by != (int32_t)by)
		return false;
	take_back(ret_first, (int32_t)by);
	return true;
}
