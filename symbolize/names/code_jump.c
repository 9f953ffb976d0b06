/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/code_jump.h"

#include <Zydis/Zydis.h>
#include <string.h>

#define NEAR_CALL 5 /* e8 and an offset */
#define SLOT_CALL 6 /* ff 15 and an offset */

struct step {
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

static bool init(const struct cprof_module *module, ZydisDecoder *decoder)
{
	return module->arch && module->arch->elf_machine == EM_X86_64 &&
	       ZYAN_SUCCESS(
		       ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64));
}

static bool offset_at(const struct cprof_module *module, uint64_t file_addr, int64_t *ret_offset)
{
	int32_t offset;
	const uint8_t *bytes = cprof_module_bytes(module, file_addr, sizeof(offset));
	if (!bytes)
		return false;
	memcpy(&offset, bytes, sizeof(offset));
	*ret_offset = offset;
	return true;
}

bool cprof_code_jump_call(const struct cprof_module *module, uint64_t file_addr,
			  struct cprof_code_jump *ret_call)
{
	const uint8_t *near = cprof_module_bytes(module, file_addr - NEAR_CALL, NEAR_CALL);
	const uint8_t *slot = cprof_module_bytes(module, file_addr - SLOT_CALL, SLOT_CALL);
	const bool is_near = near && near[0] == 0xe8;
	const bool is_slot = !is_near && slot && slot[0] == 0xff && slot[1] == 0x15;
	int64_t offset;
	if (!module->arch || module->arch->elf_machine != EM_X86_64 || (!is_near && !is_slot) ||
	    !offset_at(module, file_addr - sizeof(int32_t), &offset))
		return false;
	*ret_call = (struct cprof_code_jump){ .addr = file_addr - 1,
					      .kind = is_near ? CPROF_JUMP_TO : CPROF_JUMP_SLOT,
					      .to = file_addr + (uint64_t)offset };
	return true;
}

/* Decodes what is at `file_addr`; its operands only of what jumps. */
static bool fetch(const struct cprof_module *module, const ZydisDecoder *decoder,
		  uint64_t file_addr, uint64_t end, struct step *step)
{
	ZydisDecoderContext context;
	const uint64_t n = end - file_addr < ZYDIS_MAX_INSTRUCTION_LENGTH
				   ? end - file_addr
				   : ZYDIS_MAX_INSTRUCTION_LENGTH;
	const uint8_t *bytes = cprof_module_bytes(module, file_addr, n);
	if (!bytes ||
	    !ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(decoder, &context, bytes, n, &step->insn)))
		return false;
	if (step->insn.meta.category != ZYDIS_CATEGORY_UNCOND_BR &&
	    step->insn.meta.category != ZYDIS_CATEGORY_COND_BR)
		return true;
	return ZYAN_SUCCESS(ZydisDecoderDecodeOperands(
		decoder, &context, &step->insn, step->operands, step->insn.operand_count_visible));
}

/* Where a jump leads; false for what is none. */
static bool lead(const struct step *step, uint64_t file_addr, struct cprof_code_jump *ret_jump)
{
	const ZydisDecodedOperand *to = &step->operands[0];
	ZyanU64 target = 0;
	if ((step->insn.meta.category != ZYDIS_CATEGORY_UNCOND_BR &&
	     step->insn.meta.category != ZYDIS_CATEGORY_COND_BR) ||
	    !step->insn.operand_count_visible)
		return false;
	const bool direct = to->type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	const bool slot = to->type == ZYDIS_OPERAND_TYPE_MEMORY &&
			  to->mem.base == ZYDIS_REGISTER_RIP &&
			  to->mem.index == ZYDIS_REGISTER_NONE;
	if ((direct || slot) &&
	    !ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&step->insn, to, file_addr, &target)))
		return false;
	*ret_jump = (struct cprof_code_jump){ .addr = file_addr + step->insn.length - 1,
					      .kind = direct ? CPROF_JUMP_TO
						      : slot ? CPROF_JUMP_SLOT
							     : CPROF_JUMP_UNKNOWN,
					      .to = target };
	return true;
}

bool cprof_code_jump_entry(const struct cprof_module *module, uint64_t file_addr,
			   struct cprof_code_jump *ret_jump)
{
	ZydisDecoder decoder;
	struct step step;
	if (!init(module, &decoder) || !fetch(module, &decoder, file_addr, file_addr + 64, &step))
		return false;
	if (step.insn.mnemonic == ZYDIS_MNEMONIC_ENDBR64) {
		file_addr += step.insn.length;
		if (!fetch(module, &decoder, file_addr, file_addr + 64, &step))
			return false;
	}
	return step.insn.mnemonic == ZYDIS_MNEMONIC_JMP && lead(&step, file_addr, ret_jump) &&
	       ret_jump->kind == CPROF_JUMP_SLOT;
}

size_t cprof_code_jump_out(const struct cprof_module *module, uint64_t start, uint64_t end,
			   struct cprof_code_jump *jumps, size_t cap)
{
	ZydisDecoder decoder;
	size_t n = 0;
	if (!init(module, &decoder))
		return 0;
	for (uint64_t at = start; at < end && n < cap && cprof_module_bytes(module, at, 1);) {
		struct step step;
		struct cprof_code_jump jump;
		if (!fetch(module, &decoder, at, end, &step)) {
			at++;
			continue;
		}
		if (lead(&step, at, &jump) &&
		    (jump.kind != CPROF_JUMP_TO || jump.to < start || jump.to >= end))
			jumps[n++] = jump;
		at += step.insn.length;
	}
	return n;
}
