/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/code/code_table.h"

#include <string.h>

#define ENTRIES_MAX 4096u

static ZydisRegister whole(ZydisRegister reg)
{
	return ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
}

/* The one that stands `back` before the jump; NULL: it is not known. */
static const struct cprof_code_insn *before(const struct cprof_code_past *past, size_t back)
{
	if (back >= CPROF_CODE_TABLE_MEMORY || back >= past->n)
		return NULL;
	return &past->last[(past->n - 1 - back) % CPROF_CODE_TABLE_MEMORY];
}

static bool writes(const struct cprof_code_insn *i, ZydisRegister reg)
{
	return i->insn.operand_count && i->operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       (i->operands[0].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) &&
	       whole(i->operands[0].reg.value) == reg;
}

/* cmp $last, index; ja away. Or the same said in other words. */
static bool count(const struct cprof_code_past *past, uint32_t *ret_n)
{
	for (size_t back = 1; back < CPROF_CODE_TABLE_MEMORY; back++) {
		const struct cprof_code_insn *jump = before(past, back), *cmp;
		if (!jump)
			return false;
		const bool above = jump->insn.mnemonic == ZYDIS_MNEMONIC_JNBE ||
				   jump->insn.mnemonic == ZYDIS_MNEMONIC_JBE;
		const bool not_below = jump->insn.mnemonic == ZYDIS_MNEMONIC_JNB ||
				       jump->insn.mnemonic == ZYDIS_MNEMONIC_JB;
		if (!above && !not_below)
			continue;
		for (size_t more = 1; more <= 4 && (cmp = before(past, back + more)); more++) {
			if (cmp->insn.mnemonic != ZYDIS_MNEMONIC_CMP)
				continue;
			if (cmp->operands[1].type != ZYDIS_OPERAND_TYPE_IMMEDIATE ||
			    cmp->operands[1].imm.value.u >= ENTRIES_MAX)
				return false;
			*ret_n = (uint32_t)cmp->operands[1].imm.value.u + above;
			return *ret_n > 0;
		}
		return false;
	}
	return false;
}

/* lea table(%rip), %base; ... add %base, %jumped; jmp *%jumped. */
static bool find_distances(const struct cprof_code_object *object,
			   const struct cprof_code_past *past, ZydisRegister jumped,
			   struct cprof_code_table *table)
{
	const struct cprof_code_insn *add = before(past, 1);
	/* Something that has nothing to do with it may stand in between. */
	for (size_t back = 2; back < 5 && add && !writes(add, jumped); back++)
		add = before(past, back);
	if (!add || !writes(add, jumped) || add->insn.mnemonic != ZYDIS_MNEMONIC_ADD ||
	    add->operands[1].type != ZYDIS_OPERAND_TYPE_REGISTER)
		return false;
	for (size_t back = 2; back < CPROF_CODE_TABLE_MEMORY; back++) {
		const struct cprof_code_insn *lea = before(past, back);
		if (!lea)
			return false;
		if (lea->insn.mnemonic != ZYDIS_MNEMONIC_LEA ||
		    lea->operands[1].mem.base != ZYDIS_REGISTER_RIP)
			continue;
		if (!writes(lea, whole(add->operands[1].reg.value)) && !writes(lea, jumped))
			continue;
		table->addr =
			lea->addr + lea->insn.length + (uint64_t)lea->operands[1].mem.disp.value;
		const struct cprof_code_section *section =
			cprof_code_object_section(object, table->addr, 1);
		return section && !section->executable;
	}
	return false;
}

bool cprof_code_table_find(const struct cprof_code_object *object,
			   const struct cprof_code_past *past, struct cprof_code_table *ret_table)
{
	const struct cprof_code_insn *jump = before(past, 0);
	struct cprof_code_table table = { 0 };
	if (!jump || !count(past, &table.n))
		return false;
	const ZydisDecodedOperand *to = &jump->operands[0];
	if (to->type == ZYDIS_OPERAND_TYPE_MEMORY && to->mem.base == ZYDIS_REGISTER_NONE &&
	    to->mem.index != ZYDIS_REGISTER_NONE && to->mem.scale == 8) {
		table.addr = (uint64_t)to->mem.disp.value;
		table.absolute = true;
	} else if (to->type != ZYDIS_OPERAND_TYPE_REGISTER ||
		   !find_distances(object, past, whole(to->reg.value), &table)) {
		return false;
	}
	*ret_table = table;
	return true;
}

bool cprof_code_table_entry(const struct cprof_code_object *object,
			    const struct cprof_code_table *table, uint32_t i, uint64_t *ret_addr)
{
	const size_t n = table->absolute ? sizeof(uint64_t) : sizeof(int32_t);
	const uint8_t *bytes = cprof_code_object_bytes(object, table->addr + i * n, n);
	int32_t distance;
	uint64_t addr;
	if (!bytes)
		return false;
	if (table->absolute) {
		memcpy(&addr, bytes, sizeof(addr));
	} else {
		memcpy(&distance, bytes, sizeof(distance));
		addr = table->addr + (uint64_t)(int64_t)distance;
	}
	const struct cprof_code_section *section = cprof_code_object_section(object, addr, 1);
	*ret_addr = addr;
	return section && section->executable;
}
