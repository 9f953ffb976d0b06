/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/patch.h"

#include <Zydis/Zydis.h>
#include <string.h>

#include "attach/heap/inject/patch_first.h"

/* The opcode extensions of ff that are call and jmp. */
enum { CALL_REG = 2, JMP_REG = 4 };

struct plan {
	const uint8_t *code;
	size_t n;
	uint64_t addr; /* of code[0], where the jump goes */
	uint64_t
		interior; /* from here to the end of what is displaced nobody may come by a branch */
	uint64_t trampoline;
	const struct cprof_patch_ways *ways; /* NULL: none are known */
	struct cprof_patch *patch;
	ZydisDecoder decoder;
	uint64_t targets[CPROF_PATCH_JUMP]; /* of the displaced branches; no more than that fit */
	size_t n_targets;
};

static struct cprof_error *refuse(uint64_t addr, const char *why)
{
	return cprof_error_new(CPROF_ERR_UNSUPPORTED, "entry at 0x%llx: %s",
			       (unsigned long long)addr, why);
}

static bool fits_rel32(uint64_t from_end, uint64_t to)
{
	int64_t distance = (int64_t)(to - from_end);
	return distance == (int32_t)distance;
}

static void put_rel32(uint8_t *at, uint64_t from_end, uint64_t to)
{
	int32_t distance = (int32_t)(to - from_end);
	memcpy(at, &distance, sizeof(distance));
}

static bool is_branch(const ZydisDecodedInstruction *insn)
{
	return insn->raw.imm[0].is_relative;
}

static uint64_t branch_target(const ZydisDecodedInstruction *insn, uint64_t addr)
{
	return addr + insn->length + (uint64_t)insn->raw.imm[0].value.s;
}

/* Is it RIP-relative: mod 0, r/m 5. */
static bool is_rip_relative(const ZydisDecodedInstruction *insn)
{
	return (insn->attributes & ZYDIS_ATTRIB_HAS_MODRM) && insn->raw.modrm.mod == 0 &&
	       insn->raw.modrm.rm == 5;
}

/*
 * push $return_addr; jmp: a call that comes back to where the function's own would, not to us. 13 bytes and the jump.
 */
static struct cprof_error *push_return(struct plan *plan, uint64_t return_addr)
{
	struct cprof_patch *patch = plan->patch;
	uint8_t *out = patch->trampoline + patch->trampoline_len;
	const uint32_t low = (uint32_t)return_addr, high = (uint32_t)(return_addr >> 32);
	if (return_addr < plan->addr + CPROF_PATCH_JUMP)
		return refuse(plan->addr, "it would return from a call into the jump");
	out[0] = 0x68; /* push, sign-extended; then its upper half */
	memcpy(out + 1, &low, sizeof(low));
	memcpy(out + 5, "\xc7\x44\x24\x04", 4); /* movl $high, 4(%rsp) */
	memcpy(out + 9, &high, sizeof(high));
	patch->trampoline_len = (uint8_t)(patch->trampoline_len + 13);
	return NULL;
}

/* What is displaced may not lead to what is displaced: that is looked at in the end. */
static void add_target(struct plan *plan, uint64_t target)
{
	if (plan->n_targets < sizeof(plan->targets) / sizeof(plan->targets[0]))
		plan->targets[plan->n_targets++] = target;
}

/* call rel32. */
static struct cprof_error *move_call(struct plan *plan, const ZydisDecodedInstruction *insn,
				     uint64_t addr)
{
	struct cprof_patch *patch = plan->patch;
	uint64_t target = branch_target(insn, addr);
	struct cprof_error *err = push_return(plan, addr + insn->length);
	if (err)
		return err;
	uint8_t *out = patch->trampoline + patch->trampoline_len;
	uint64_t end = plan->trampoline + patch->trampoline_len + 5;
	if (!fits_rel32(end, target))
		return refuse(plan->addr, "a call of it cannot reach from the trampoline");
	add_target(plan, target);
	out[0] = 0xe9;
	put_rel32(out + 1, end, target);
	patch->trampoline_len = (uint8_t)(patch->trampoline_len + 5);
	return NULL;
}

/* A branch, in its long form, to where it went before. */
static struct cprof_error *move_branch(struct plan *plan, const ZydisDecodedInstruction *insn,
				       uint64_t addr, bool *ret_ends)
{
	struct cprof_patch *patch = plan->patch;
	uint8_t *out = patch->trampoline + patch->trampoline_len;
	uint64_t target = branch_target(insn, addr);
	bool conditional = insn->meta.category == ZYDIS_CATEGORY_COND_BR;
	bool short_jcc =
		insn->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (insn->opcode & 0xf0) == 0x70;
	bool long_jcc = insn->opcode_map == ZYDIS_OPCODE_MAP_0F && (insn->opcode & 0xf0) == 0x80;
	size_t length = conditional ? 6 : 5;
	uint64_t end = plan->trampoline + patch->trampoline_len + length;

	if (insn->attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE)
		return refuse(plan->addr, "it begins with a branch that CPUs do not agree on");
	if (insn->mnemonic == ZYDIS_MNEMONIC_CALL)
		return move_call(plan, insn, addr);
	if (conditional ? !(short_jcc || long_jcc) : insn->mnemonic != ZYDIS_MNEMONIC_JMP)
		return refuse(plan->addr, "it begins with a branch that has no long form");
	if (!fits_rel32(end, target))
		return refuse(plan->addr, "a branch of it cannot reach from the trampoline");
	add_target(plan, target);
	if (conditional) {
		out[0] = 0x0f;
		out[1] = (uint8_t)(0x80 | (insn->opcode & 15));
	} else {
		out[0] = 0xe9;
	}
	put_rel32(out + length - 4, end, target);
	patch->trampoline_len = (uint8_t)(patch->trampoline_len + length);
	*ret_ends = !conditional;
	return NULL;
}

static struct cprof_error *move_plain(struct plan *plan, const ZydisDecodedInstruction *insn,
				      size_t at)
{
	struct cprof_patch *patch = plan->patch;
	uint8_t *out = patch->trampoline + patch->trampoline_len;
	memcpy(out, plan->code + at, insn->length);
	if (is_rip_relative(insn)) {
		uint64_t target = plan->addr + at + insn->length + (uint64_t)insn->raw.disp.value;
		uint64_t end = plan->trampoline + patch->trampoline_len + insn->length;
		if (!fits_rel32(end, target) || insn->raw.disp.size != 32)
			return refuse(plan->addr,
				      "data of it cannot be reached from the trampoline");
		put_rel32(out + insn->raw.disp.offset, end, target);
	}
	patch->trampoline_len = (uint8_t)(patch->trampoline_len + insn->length);
	return NULL;
}

/* Is the memory that it reads found by the stack pointer? */
static bool is_stack_relative(const ZydisDecodedInstruction *insn)
{
	return insn->raw.modrm.mod != 3 && insn->raw.modrm.rm == 4 && insn->raw.sib.base == 4 &&
	       !insn->raw.rex.B;
}

/*
 * call *operand: a push, and the same with /4 (jmp) in place of /2 (call), Intel SDM Vol. 2 "CALL", "JMP". A copy of the
 * call would return into the injected page, which may be gone by then.
 */
static struct cprof_error *move_indirect_call(struct plan *plan,
					      const ZydisDecodedInstruction *insn, size_t at)
{
	if (insn->opcode != 0xff || insn->raw.modrm.reg != CALL_REG || is_stack_relative(insn))
		return refuse(plan->addr, "it begins with a call that cannot be moved");
	struct cprof_error *err = push_return(plan, plan->addr + at + insn->length);
	if (err)
		return err;
	uint8_t *copy = plan->patch->trampoline + plan->patch->trampoline_len;
	err = move_plain(plan, insn, at);
	if (!err)
		copy[insn->raw.modrm.offset] ^= (CALL_REG ^ JMP_REG) << 3;
	return err;
}

static struct cprof_error *move(struct plan *plan, const ZydisDecodedInstruction *insn, size_t at,
				bool *ret_ends)
{
	if (is_branch(insn))
		return move_branch(plan, insn, plan->addr + at, ret_ends);
	if (insn->meta.category == ZYDIS_CATEGORY_CALL)
		return move_indirect_call(plan, insn, at);
	return move_plain(plan, insn, at);
}

/* Between the end of a very short function and the next one: nothing that is ever executed. */
static bool is_padding(const ZydisDecodedInstruction *insn)
{
	return insn->mnemonic == ZYDIS_MNEMONIC_NOP || insn->mnemonic == ZYDIS_MNEMONIC_INT3;
}

static struct cprof_error *displace(struct plan *plan)
{
	struct cprof_patch *patch = plan->patch;
	size_t at = 0;
	bool ended = false;

	while (at < CPROF_PATCH_JUMP) {
		ZydisDecodedInstruction insn;
		ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&plan->decoder, plan->code + at,
							 plan->n - at, &insn, operands)))
			return refuse(plan->addr, "its first instructions cannot be decoded");
		if (ended) {
			if (!is_padding(&insn))
				return refuse(plan->addr, "it is shorter than a jump");
			at += insn.length;
			continue;
		}
		if (insn.mnemonic == ZYDIS_MNEMONIC_INT3)
			return refuse(plan->addr, "there is a breakpoint in it already");
		patch->from[patch->n_instructions] = (uint8_t)at;
		patch->to[patch->n_instructions++] = patch->trampoline_len;

		struct cprof_error *err = move(plan, &insn, at, &ended);
		if (err)
			return err;
		if (insn.meta.category == ZYDIS_CATEGORY_RET ||
		    insn.meta.category == ZYDIS_CATEGORY_UNCOND_BR)
			ended = true;
		at += insn.length;
	}
	patch->displaced = (uint8_t)at;
	for (size_t i = 0; i < plan->n_targets; i++) {
		if (plan->targets[i] >= plan->interior && plan->targets[i] < plan->addr + at)
			return refuse(plan->addr, "its first instructions branch into themselves");
	}

	uint64_t end = plan->trampoline + patch->trampoline_len + 5;
	if (!fits_rel32(end, plan->addr + at))
		return refuse(plan->addr, "it is too far from the injected page");
	patch->trampoline[patch->trampoline_len] = 0xe9;
	put_rel32(patch->trampoline + patch->trampoline_len + 1, end, plan->addr + at);
	patch->trampoline_len = (uint8_t)(patch->trampoline_len + 5);
	return NULL;
}

/* A loop back to the first instructions would run into the middle of the jump. */
static struct cprof_error *look_for_branches_back(struct plan *plan)
{
	uint64_t end = plan->addr + plan->patch->displaced;
	for (size_t at = plan->patch->displaced; at < plan->n;) {
		ZydisDecodedInstruction insn;
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(
			    &plan->decoder, NULL, plan->code + at, plan->n - at, &insn))) {
			at++;
			continue;
		}
		if (is_branch(&insn)) {
			uint64_t target = branch_target(&insn, plan->addr + at);
			if (target >= plan->interior && target < end)
				return refuse(plan->addr,
					      "it branches back into its first instructions");
		}
		at += insn.length;
	}
	return NULL;
}

/* What the rest of the object says to it. */
static struct cprof_error *look_for_other_ways(const struct plan *plan)
{
	const struct cprof_patch_ways *ways = plan->ways;
	const char *why =
		ways ? ways->why_not(ways->ctx, plan->addr + plan->patch->displaced) : NULL;
	return why ? refuse(plan->addr, why) : NULL;
}

/* The jump goes to plan->addr. */
static struct cprof_error *plan_jump(struct plan *plan, uint64_t stub)
{
	struct cprof_patch *patch = plan->patch;
	if (plan->n < 8)
		return refuse(plan->addr, "it is shorter than a jump");
	if ((plan->addr & 4095) + CPROF_PATCH_JUMP > 4096)
		return refuse(plan->addr,
			      "a jump would cross a page and could not be written at once");
	uint64_t to = stub - patch->undo_len, end = plan->addr + CPROF_PATCH_JUMP;
	if (!fits_rel32(end, to))
		return refuse(plan->addr, "it is too far from the injected page");
	struct cprof_error *err = displace(plan);
	if (!err)
		err = look_for_branches_back(plan);
	if (!err)
		err = look_for_other_ways(plan);
	if (err)
		return err;
	patch->addr = plan->addr;
	memcpy(patch->original, plan->code, sizeof(patch->original));
	memcpy(patch->patched, plan->code, sizeof(patch->patched));
	patch->patched[0] = 0xe9;
	put_rel32(patch->patched + 1, end, to);
	return NULL;
}

/* Behind `length` bytes that stay. */
static void skip(struct plan *plan, size_t length)
{
	plan->code += length;
	plan->n -= length;
	plan->addr += length;
}

/*
 * A copy of the first instruction begins the trampoline, for the stub has changed what it did. A branch from within the
 * function to what follows it would be taken for a call.
 */
static struct cprof_error *jump_behind_first(struct plan *plan,
					     const struct cprof_patch_first *first, uint64_t stub)
{
	ZydisDecodedInstruction insn;
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&plan->decoder, NULL, plan->code, plan->n,
							&insn)))
		return refuse(plan->addr, "its first instruction cannot be decoded");
	struct cprof_error *err = move_plain(plan, &insn, 0);
	if (err)
		return err;
	memcpy(plan->patch->undo, first->undo, sizeof(first->undo));
	plan->patch->undo_len = first->undo_len;
	skip(plan, first->length);
	plan->interior = plan->addr;
	return plan_jump(plan, stub);
}

struct cprof_error *cprof_patch_plan(const uint8_t *code, size_t n, uint64_t addr, uint64_t stub,
				     uint64_t trampoline, uint8_t arguments,
				     const struct cprof_patch_ways *ways,
				     struct cprof_patch *ret_patch)
{
	static const uint8_t endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };
	struct cprof_patch patch = { .addr = addr };
	struct plan plan = { .code = code,
			     .n = n,
			     .addr = addr,
			     .trampoline = trampoline,
			     .ways = ways,
			     .patch = &patch };
	struct cprof_patch_first first;
	struct cprof_error *err;
	ZydisDecoderInit(&plan.decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);

	if (n > sizeof(endbr64) && memcmp(code, endbr64, sizeof(endbr64)) == 0) {
		/* It stays: an indirect call must find it where it was. It does nothing. */
		skip(&plan, sizeof(endbr64));
	} else if (cprof_patch_first(code, n, arguments, &first)) {
		struct plan behind = plan;
		err = jump_behind_first(&behind, &first, stub);
		if (!err)
			*ret_patch = patch;
		if (!err || err->code == CPROF_ERR_NO_MEMORY)
			return err;
		cprof_error_free(err);
		patch = (struct cprof_patch){ 0 };
	}
	plan.interior = plan.addr + 1;
	err = plan_jump(&plan, stub);
	if (err)
		return err;
	patch.at_entry = patch.addr == addr && patch.original[0] != patch.patched[0];
	*ret_patch = patch;
	return NULL;
}

uint64_t cprof_patch_move(const struct cprof_patch *patch, uint64_t trampoline, uint64_t pc)
{
	for (size_t i = 1; i < patch->n_instructions; i++) {
		if (pc == patch->addr + patch->from[i])
			return trampoline + patch->to[i];
	}
	return pc;
}
