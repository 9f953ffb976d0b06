/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/code/code_steps.h"

#define LOCK         0xf0
#define FUNCTION_MAX 4096u /* one that never comes back is a short one */
#define LEAD_MAX                                                                                   \
	(64u << 10) /* further back instructions are not followed: by then the decoder is in step */

bool cprof_code_steps_decode(const struct cprof_code_object *object, const ZydisDecoder *decoder,
			     uint64_t addr, struct cprof_code_insn *ret_insn)
{
	const struct cprof_code_section *section = cprof_code_object_section(object, addr, 1);
	if (!section || !section->executable)
		return false;
	uint64_t n = section->addr + section->size - addr;
	if (n > ZYDIS_MAX_INSTRUCTION_LENGTH)
		n = ZYDIS_MAX_INSTRUCTION_LENGTH;
	const uint8_t *code = cprof_code_object_bytes(object, addr, n);
	ret_insn->addr = addr;
	return code && ZYAN_SUCCESS(ZydisDecoderDecodeFull(decoder, code, n, &ret_insn->insn,
							   ret_insn->operands));
}

/* Go on from `*at` to `wanted` or behind it; false where there is something that is no instruction. */
static bool advance(const struct cprof_code_object *object, const ZydisDecoder *decoder,
		    uint64_t *at, uint64_t wanted, uint64_t end)
{
	while (*at < wanted) {
		const uint64_t left = end - *at;
		const uint64_t n =
			left < ZYDIS_MAX_INSTRUCTION_LENGTH ? left : ZYDIS_MAX_INSTRUCTION_LENGTH;
		const uint8_t *code = cprof_code_object_bytes(object, *at, n);
		ZydisDecodedInstruction insn;
		if (!code ||
		    !ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(decoder, NULL, code, n, &insn)))
			return false;
		/* The rest of an instruction whose lock prefix some jump leaves out. */
		*at += insn.length > 1 && code[0] == LOCK && *at + 1 == wanted ? 1 : insn.length;
	}
	return true;
}

static bool leads_out(const struct cprof_code_insn *at, uint64_t start, uint64_t end)
{
	if (at->insn.meta.category == ZYDIS_CATEGORY_RET)
		return true;
	if (at->insn.meta.category == ZYDIS_CATEGORY_CALL)
		return false;
	if (!at->insn.raw.imm[0].is_relative)
		return at->insn.meta.category == ZYDIS_CATEGORY_UNCOND_BR;
	const uint64_t to = at->addr + at->insn.length + (uint64_t)at->insn.raw.imm[0].value.s;
	return to < start || to >= end;
}

bool cprof_code_steps_end(struct cprof_code_object *object, const ZydisDecoder *decoder,
			  uint64_t addr)
{
	uint64_t start, end;
	struct cprof_code_insn at;
	if (!cprof_code_object_function(object, addr, &start, &end) || start != addr ||
	    end - start > FUNCTION_MAX)
		return false;
	while (addr < end) {
		if (!cprof_code_steps_decode(object, decoder, addr, &at) ||
		    leads_out(&at, start, end))
			return false;
		addr += at.insn.length;
	}
	return true;
}

/* Is what the instruction leads to, or takes the address of, said at `at`? */
static bool says_at(const ZydisDecodedInstruction *insn, uint64_t addr, uint64_t at, bool number)
{
	const bool relative = insn->raw.imm[0].is_relative;
	if (number)
		return !relative && insn->raw.imm[0].size >= 32 &&
		       addr + insn->raw.imm[0].offset == at;
	if (relative)
		return addr + insn->raw.imm[0].offset == at;
	return insn->raw.disp.size == 32 && insn->raw.modrm.mod == 0 && insn->raw.modrm.rm == 5 &&
	       addr + insn->raw.disp.offset == at;
}

/* The instruction around `at`, counted from the beginning of the function; false where nothing tells. */
static bool around(struct cprof_code_object *object, uint64_t at, uint64_t *ret_addr,
		   ZydisDecodedInstruction *ret_insn)
{
	ZydisDecoder decoder;
	uint64_t addr, end;
	if (!cprof_code_object_function(object, at, &addr, &end) || addr > at || end <= at)
		return false;
	if (at - addr > LEAD_MAX)
		addr = at - LEAD_MAX;
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	for (; addr <= at; addr += ret_insn->length) {
		const uint64_t left = end - addr;
		const uint64_t n =
			left < ZYDIS_MAX_INSTRUCTION_LENGTH ? left : ZYDIS_MAX_INSTRUCTION_LENGTH;
		const uint8_t *code = cprof_code_object_bytes(object, addr, n);
		if (!code ||
		    !ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, code, n, ret_insn)))
			return false;
		if (addr + ret_insn->length > at) {
			*ret_addr = addr;
			return true;
		}
	}
	return false;
}

bool cprof_code_steps_confirm(struct cprof_code_object *object, uint64_t at, bool number)
{
	uint64_t addr;
	ZydisDecodedInstruction insn;
	return !around(object, at, &addr, &insn) || says_at(&insn, addr, at, number);
}

bool cprof_code_steps_begins(struct cprof_code_object *object, uint64_t at)
{
	uint64_t addr;
	ZydisDecodedInstruction insn;
	return !around(object, at, &addr, &insn) || addr == at;
}

static bool describes(struct cprof_code_object *object, uint64_t addr, uint64_t *ret_start,
		      uint64_t *ret_end)
{
	return cprof_code_object_function(object, addr, ret_start, ret_end) && *ret_start <= addr &&
	       *ret_end > addr;
}

/* Does the instruction at `addr` begin in front of `*end`, where the last one ended? Then it is `*end`'s turn to move. */
static bool begins_inside(const struct cprof_code_object *object, const ZydisDecoder *decoder,
			  uint64_t addr, uint64_t *end)
{
	struct cprof_code_insn insn;
	const uint8_t *before = cprof_code_object_bytes(object, addr - 1, 1);
	const bool inside = addr < *end && !(before && *before == LOCK);
	*end = addr;
	if (cprof_code_steps_decode(object, decoder, addr, &insn))
		*end += insn.insn.length;
	return inside;
}

const char *cprof_code_steps_check(struct cprof_code_object *object, const uint64_t *addrs,
				   size_t n, uint64_t *ret_bad, bool *ret_overlaps)
{
	ZydisDecoder decoder;
	uint64_t at = 0, end = 0, last_end = 0;
	*ret_overlaps = false;
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	for (size_t i = 0; i < n; i++) {
		*ret_bad = addrs[i];
		*ret_overlaps = true;
		if (begins_inside(object, &decoder, addrs[i], &last_end))
			return "its instructions overlap";
		*ret_overlaps = false;
		/* Of what nothing describes no more is known. */
		if (addrs[i] >= end && !describes(object, addrs[i], &at, &end))
			continue;
		*ret_overlaps = true;
		if (!advance(object, &decoder, &at, addrs[i], end))
			return "there is something else than instructions in it";
		if (at != addrs[i])
			return "its instructions overlap";
		*ret_overlaps = false;
	}
	return NULL;
}
