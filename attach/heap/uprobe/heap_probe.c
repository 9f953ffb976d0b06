/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/uprobe/heap_probe.h"

#include <Zydis/Zydis.h>
#include <string.h>

#define BLOCKS_MAX       512
#define INSTRUCTIONS_MAX 8192
#define LOOK_AHEAD       48 /* bytes behind the entry where the probe may go */

struct flow {
	const struct cprof_memory *code;
	uint64_t addr, end;
	ZydisDecoder decoder;
	uint64_t blocks
		[BLOCKS_MAX]; /* where straight pieces of code begin; those before n_done are done */
	size_t n_blocks, n_done, n_instructions;
	uint64_t entered; /* bit i: something jumps to addr + i */
	struct cprof_heap_probe *probe;
};

struct insn {
	ZydisDecodedInstruction is;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	uint8_t bytes[ZYDIS_MAX_INSTRUCTION_LENGTH];
};

static bool decode(const struct flow *flow, uint64_t at, struct insn *insn)
{
	size_t n = sizeof(insn->bytes);
	if (!flow->code->read(flow->code->ctx, at, insn->bytes, n)) {
		n = 4096 - (at & 4095);
		if (n >= sizeof(insn->bytes) ||
		    !flow->code->read(flow->code->ctx, at, insn->bytes, n))
			return false;
	}
	return ZYAN_SUCCESS(
		ZydisDecoderDecodeFull(&flow->decoder, insn->bytes, n, &insn->is, insn->operands));
}

static bool is_branch(const struct insn *insn)
{
	return insn->is.raw.imm[0].is_relative && insn->is.mnemonic != ZYDIS_MNEMONIC_CALL;
}

static uint64_t branch_target(const struct insn *insn, uint64_t at)
{
	return at + insn->is.length + (uint64_t)insn->is.raw.imm[0].value.s;
}

/* ---- following ---- */

static void go_to(struct flow *flow, uint64_t target)
{
	if (target > flow->addr && target - flow->addr < 64)
		flow->entered |= 1ull << (target - flow->addr);
	for (size_t i = 0; i < flow->n_blocks; i++) {
		if (flow->blocks[i] == target)
			return;
	}
	if (flow->n_blocks < BLOCKS_MAX)
		flow->blocks[flow->n_blocks++] = target;
}

/* Does control go on behind this instruction? */
static bool follow(struct flow *flow, const struct insn *insn, uint64_t at)
{
	switch (insn->is.meta.category) {
	case ZYDIS_CATEGORY_RET:
		return false;
	case ZYDIS_CATEGORY_UNCOND_BR:
		if (is_branch(insn))
			go_to(flow, branch_target(insn, at));
		return false;
	case ZYDIS_CATEGORY_COND_BR:
		go_to(flow, branch_target(insn, at));
		return true;
	default:
		return insn->is.mnemonic != ZYDIS_MNEMONIC_UD2 &&
		       insn->is.mnemonic != ZYDIS_MNEMONIC_INT3 &&
		       insn->is.mnemonic != ZYDIS_MNEMONIC_HLT;
	}
}

static void explore_block(struct flow *flow, uint64_t at)
{
	struct insn insn;
	while (at >= flow->addr && at < flow->end && ++flow->n_instructions <= INSTRUCTIONS_MAX) {
		if (!decode(flow, at, &insn) || !follow(flow, &insn, at))
			return;
		at += insn.is.length;
	}
}

/* As far as it goes: what is wanted is whether something jumps back to the first instructions. */
static void explore(struct flow *flow)
{
	flow->blocks[flow->n_blocks++] = flow->addr;
	while (flow->n_done < flow->n_blocks && flow->n_instructions <= INSTRUCTIONS_MAX)
		explore_block(flow, flow->blocks[flow->n_done++]);
}

/* ---- where the probe goes ---- */

/* Linux arch/x86/kernel/uprobes.c: push_setup_xol_ops() and branch_setup_xol_ops(). */
static bool emulated(const struct insn *insn)
{
	const uint8_t *bytes = insn->bytes;
	size_t at = bytes[0] == 0x41;
	if ((bytes[at] & 0xf8) == 0x50)
		return true; /* push of a register */
	if (insn->is.length == 1)
		return bytes[0] == 0x90;
	return is_branch(insn) && (bytes[0] & 0xfc) != 0xe0; /* not loop and jrcxz */
}

/*
 * Linux makes a call out of a probe on this one, into memory that a forked child does not have (commit ba2bfc97b462,
 * "uprobes/x86: Add support to optimize uprobes", v6.18).
 */
static bool is_nop5(const struct insn *insn)
{
	return insn->is.length == 5 && insn->is.mnemonic == ZYDIS_MNEMONIC_NOP;
}

/* Does it leave the arguments, the stack pointer and the flow of control alone? */
static bool passes(const struct insn *insn)
{
	if (insn->is.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE ||
	    insn->is.mnemonic == ZYDIS_MNEMONIC_CALL || insn->is.mnemonic == ZYDIS_MNEMONIC_RET ||
	    insn->is.mnemonic == ZYDIS_MNEMONIC_SYSCALL)
		return false;
	for (size_t i = 0; i < insn->is.operand_count; i++) {
		const ZydisDecodedOperand *operand = &insn->operands[i];
		if (operand->type != ZYDIS_OPERAND_TYPE_REGISTER ||
		    !(operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			continue;
		switch (ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64,
							 operand->reg.value)) {
		case ZYDIS_REGISTER_RDI:
		case ZYDIS_REGISTER_RSI:
		case ZYDIS_REGISTER_RDX:
		case ZYDIS_REGISTER_RCX:
		case ZYDIS_REGISTER_R8:
		case ZYDIS_REGISTER_R9:
		case ZYDIS_REGISTER_RSP:
			return false;
		default:
			break;
		}
	}
	return true;
}

static struct cprof_error *choose_entry(struct flow *flow)
{
	struct cprof_heap_probe *probe = flow->probe;
	uint64_t first = 0;
	for (uint64_t at = flow->addr; at < flow->end && at - flow->addr < LOOK_AHEAD &&
				       !(flow->entered >> (at - flow->addr) & 1);) {
		struct insn insn;
		if (!decode(flow, at, &insn))
			break;
		if (!first && !is_nop5(&insn))
			first = at;
		if (emulated(&insn)) {
			probe->addr = at;
			return NULL;
		}
		if (!passes(&insn))
			break;
		at += insn.is.length;
	}
	probe->addr = first;
	probe->slow = true;
	return first ? NULL
		     : cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "its first instruction cannot have a probe");
}

struct cprof_error *cprof_heap_probe_plan(const struct cprof_memory *code, uint64_t addr,
					  uint64_t end, struct cprof_heap_probe *ret_probe)
{
	struct cprof_heap_probe probe = { 0 };
	struct flow flow = {
		.code = code, .addr = addr, .end = end > addr ? end : addr + 1, .probe = &probe
	};
	ZydisDecoderInit(&flow.decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	explore(&flow);
	struct cprof_error *err = choose_entry(&flow);
	if (!err)
		*ret_probe = probe;
	return err;
}
