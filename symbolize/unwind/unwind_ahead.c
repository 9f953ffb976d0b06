/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/unwind/unwind_ahead.h"

#include <Zydis/Zydis.h>

#include "symbolize/unwind/unwind_code.h"

#define INSTRUCTIONS_MAX 320u
#define PUSHED_MAX       2048 /* all vector registers of the largest size */

enum { RAX = 0, RBP = 6, RSP = 7, R13 = 13, NO_REG = 0xff };

/* One instruction, as far as it matters to the stack. */
struct step {
	enum {
		ANY,
		PUSH,  /* reg */
		POP,   /* reg */
		ADD,   /* by bytes to the stack pointer */
		ROUND, /* the stack pointer, so that it is not known */
		MOVE,  /* from -> reg */
		LOAD,  /* the word at the stack pointer + by -> reg */
		STORE, /* from -> there */
		LEAVE, /* frame by frame pointer */
		JUMP,  /* to a place that is told */
		AWAY,  /* to where reg says, or a word in memory */
		END,   /* not further ahead */
	} kind;
	uint8_t reg, from;
	int32_t by;
};

struct ahead {
	ZydisDecoder decoder;
	const uint8_t *code;
	size_t n, at;
	unsigned left;
};

static bool start(struct ahead *a, const uint8_t *code, size_t n)
{
	*a = (struct ahead){ .code = code, .n = n, .left = INSTRUCTIONS_MAX };
	return ZYAN_SUCCESS(
		ZydisDecoderInit(&a->decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64));
}

static uint8_t reg_of(const ZydisDecodedOperand *operand)
{
	int reg = operand->type == ZYDIS_OPERAND_TYPE_REGISTER && operand->size == 64
			  ? cprof_unwind_code_reg(operand->reg.value)
			  : -1;
	return reg < 0 ? NO_REG : (uint8_t)reg;
}

static bool on_stack(const ZydisDecodedOperand *operand, int32_t *ret_offset)
{
	if (operand->type != ZYDIS_OPERAND_TYPE_MEMORY || operand->size != 64 ||
	    operand->mem.base != ZYDIS_REGISTER_RSP || operand->mem.index != ZYDIS_REGISTER_NONE)
		return false;
	*ret_offset = (int32_t)operand->mem.disp.value;
	return true;
}

static void read_move(const ZydisDecodedOperand *to, const ZydisDecodedOperand *from,
		      struct step *step)
{
	step->reg = reg_of(to);
	step->from = reg_of(from);
	if (step->reg != NO_REG && step->from != NO_REG)
		step->kind = MOVE;
	else if (step->reg != NO_REG && on_stack(from, &step->by))
		step->kind = LOAD;
	else if (step->from != NO_REG && on_stack(to, &step->by))
		step->kind = STORE;
}

/* The stack pointer by a number; by anything else it is not known. */
static void read_sum(const ZydisDecodedOperand *to, const ZydisDecodedOperand *by, int sign,
		     struct step *step)
{
	if (reg_of(to) != RSP)
		return;
	step->kind = ROUND;
	if (by->type != ZYDIS_OPERAND_TYPE_IMMEDIATE || by->imm.value.s > PUSHED_MAX ||
	    by->imm.value.s < -PUSHED_MAX)
		return;
	step->kind = ADD;
	step->by = sign * (int32_t)by->imm.value.s;
}

/* The next instruction; false behind the last one that may be looked at. */
static bool next(struct ahead *a, struct step *step)
{
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	*step = (struct step){ .kind = ANY, .reg = NO_REG, .from = NO_REG };
	if (!a->left-- || !ZYAN_SUCCESS(ZydisDecoderDecodeFull(&a->decoder, a->code + a->at,
							       a->n - a->at, &insn, op)))
		return false;
	a->at += insn.length;
	switch (insn.mnemonic) {
	case ZYDIS_MNEMONIC_PUSH:
	case ZYDIS_MNEMONIC_POP:
		step->kind = insn.mnemonic == ZYDIS_MNEMONIC_PUSH ? PUSH : POP;
		step->reg = reg_of(&op[0]);
		break;
	case ZYDIS_MNEMONIC_ADD:
	case ZYDIS_MNEMONIC_SUB:
		read_sum(&op[0], &op[1], insn.mnemonic == ZYDIS_MNEMONIC_ADD ? 1 : -1, step);
		break;
	case ZYDIS_MNEMONIC_AND:
		step->kind = reg_of(&op[0]) == RSP ? ROUND : ANY;
		break;
	case ZYDIS_MNEMONIC_MOV:
		read_move(&op[0], &op[1], step);
		break;
	case ZYDIS_MNEMONIC_LEA:
		step->kind = reg_of(&op[0]) == RSP ? ROUND : ANY;
		break;
	case ZYDIS_MNEMONIC_LEAVE:
		step->kind = LEAVE;
		break;
	case ZYDIS_MNEMONIC_JMP:
		step->kind = op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? JUMP : AWAY;
		step->reg = reg_of(&op[0]);
		break;
	case ZYDIS_MNEMONIC_RET:
	case ZYDIS_MNEMONIC_UD2:
	case ZYDIS_MNEMONIC_HLT:
	case ZYDIS_MNEMONIC_INT3:
		step->kind = END;
		break;
	default:
		break;
	}
	return true;
}

static struct cprof_unwind_place in_reg(uint8_t reg)
{
	return (struct cprof_unwind_place){ .from = CPROF_IS_BASE, .base = reg };
}

static struct cprof_unwind_place in_memory(uint8_t base, int32_t offset)
{
	return (struct cprof_unwind_place){ .from = CPROF_FROM_BASE,
					    .base = base,
					    .offset = offset };
}

static struct cprof_unwind_place on_top(int32_t offset)
{
	return in_memory(RSP, offset);
}

static struct cprof_ahead told(uint8_t cfa_reg, int32_t cfa_offset, struct cprof_unwind_place ra)
{
	return (struct cprof_ahead){ .cfa_reg = cfa_reg, .cfa_offset = cfa_offset, .ra = ra };
}

/* What a step adds to the stack pointer. */
static int32_t moved_by(const struct step *step)
{
	switch (step->kind) {
	case PUSH:
		return -8;
	case POP:
		return 8;
	case ADD:
		return step->by;
	default:
		return 0;
	}
}

/* ---- adapters ---- */

/* The return address: on top of the stack; put there soon, from a register; or put there soon again. */
struct return_word {
	bool taken, put;
	uint8_t from;
};

static void watch_return(const struct step *step, struct return_word *word)
{
	word->taken |= step->kind == POP || (step->kind == LOAD && step->by == 0 && !word->put);
	if (!word->put && (step->kind == PUSH || (step->kind == STORE && step->by == 0))) {
		word->from = step->kind == PUSH ? step->reg : step->from;
		word->put = word->from != NO_REG;
	}
}

/*
 * The sender's stack pointer is being kept, `moved` bytes further up than it is now. With the return address on top when the machine is called
 * to mend the caller; with that taken away before when the interpreter's arguments are to be put there: then it is in rax.
 */
static struct cprof_ahead kept(struct ahead *a, int32_t moved, bool popped)
{
	struct step step;
	if (popped)
		return told(RSP, moved, on_top(moved - 8));
	if (next(a, &step) && (step.kind == LOAD || step.kind == ROUND))
		return told(RSP, moved + 8, on_top(moved));
	return told(RSP, moved, in_reg(RAX));
}

bool cprof_ahead_adapter(const uint8_t *code, size_t n, struct cprof_ahead *ret_ahead)
{
	struct ahead a;
	struct step step;
	struct return_word word = { .from = NO_REG };
	int32_t moved = 0;
	bool popped = false;
	if (!start(&a, code, n))
		return false;
	while (next(&a, &step) && step.kind != END && moved <= PUSHED_MAX && moved >= -PUSHED_MAX) {
		if (step.kind == MOVE && step.reg == RSP && step.from == R13) {
			*ret_ahead = told(R13, 8, in_memory(R13, 0));
			return true;
		}
		if (step.kind == MOVE && step.reg == R13 && step.from == RSP) {
			*ret_ahead = kept(&a, moved, popped);
			return true;
		}
		if (step.kind == AWAY) {
			*ret_ahead = told(R13, 0,
					  word.put && !word.taken ? in_reg(word.from) : on_top(0));
			return true;
		}
		watch_return(&step, &word);
		popped = step.kind == POP;
		moved += moved_by(&step);
	}
	return false;
}

/* ---- the interpreter ---- */

#define LEAVING_MAX 8u  /* instructions from there to the jump */
#define LEFT_BYTES  24u /* of those before the jump */

/* The return address is taken off the stack, the sender's stack pointer restored, and it goes there; that is ahead. */
static bool is_leaving(const uint8_t *code, size_t n, struct cprof_ahead *ret_ahead)
{
	struct ahead a;
	struct step step;
	uint8_t popped = NO_REG, sender = NO_REG;
	if (!start(&a, code, n))
		return false;
	a.left = LEAVING_MAX;
	while (next(&a, &step) && step.kind != END && step.kind != LEAVE && step.kind != JUMP) {
		if (step.kind == AWAY) {
			if (sender == NO_REG || step.reg == NO_REG ||
			    (popped != NO_REG && popped != step.reg))
				return false;
			*ret_ahead =
				told(sender, 0, popped == NO_REG ? in_reg(step.reg) : on_top(0));
			return true;
		}
		if (step.kind == POP && sender == NO_REG && popped == NO_REG)
			popped = step.reg;
		else if (step.kind == MOVE && step.reg == RSP && sender == NO_REG)
			sender = step.from;
		else if (step.kind != ANY)
			return false;
	}
	return false;
}

/* The register that it goes through if nothing is done to the stack before that; NO_REG: it does not. */
static uint8_t goes_through(const uint8_t *code, size_t n)
{
	struct ahead a;
	struct step step;
	if (!start(&a, code, n))
		return NO_REG;
	a.left = LEAVING_MAX;
	while (next(&a, &step) && (step.kind == ANY || step.kind == AWAY)) {
		if (step.kind == AWAY)
			return step.reg;
	}
	return NO_REG;
}

/* The same, with the sender's stack pointer restored already, some instructions before. */
static bool has_left(const uint8_t *code, size_t n, size_t at, struct cprof_ahead *ret_ahead)
{
	uint8_t reg = goes_through(code + at, n - at);
	struct ahead a;
	struct step pop, move, step;
	for (size_t back = 4; reg != NO_REG && back <= LEFT_BYTES && back <= at; back++) {
		if (!start(&a, code + at - back, n - at + back) || !next(&a, &pop) ||
		    pop.kind != POP || pop.reg != reg || !next(&a, &move) || move.kind != MOVE ||
		    move.reg != RSP)
			continue;
		while (a.at < back && next(&a, &step) && step.kind == ANY)
			;
		if (a.at == back) {
			*ret_ahead = told(RSP, 0, in_reg(reg));
			return true;
		}
	}
	return false;
}

/* The frame pointer has just been set, and the sender's stack pointer is to be pushed. */
static bool has_entered(const uint8_t *code, size_t n, size_t at, struct cprof_ahead *ret_ahead)
{
	struct ahead a;
	struct step push, move, sender;
	if (at < 4 || !start(&a, code + at - 4, n - at + 4) || !next(&a, &push) ||
	    push.kind != PUSH || push.reg != RBP || !next(&a, &move) || move.kind != MOVE ||
	    move.reg != RBP || move.from != RSP || a.at != 4 || !next(&a, &sender) ||
	    sender.kind != PUSH || sender.reg != R13)
		return false;
	*ret_ahead = told(R13, 0, in_memory(RBP, 8));
	ret_ahead->has_fp = true;
	return true;
}

/*
 * The entry of a method: the return address is taken off the stack, so that its variables come to stand beside its arguments, and pushed
 * again; then the frame pointer is pushed and set.
 */
static bool is_entering(const uint8_t *code, size_t n, struct cprof_ahead *ret_ahead)
{
	struct ahead a;
	struct step step;
	struct cprof_unwind_place ra = on_top(0);
	bool taken = false, pushed_fp = false, any = false;
	uint8_t last = NO_REG;
	if (!start(&a, code, n))
		return false;
	while (next(&a, &step) && step.kind != END && step.kind != AWAY && step.kind != LEAVE) {
		if (step.kind == MOVE && step.reg == RBP && step.from == RSP) {
			if (!any)
				ra = on_top(8);
			else if (!pushed_fp)
				return false;
			else if (!taken && last != NO_REG)
				ra = in_reg(last);
			*ret_ahead = told(R13, 0, ra);
			return true;
		}
		taken |= step.kind == POP;
		pushed_fp = step.kind == PUSH && step.reg == RBP;
		if (step.kind == PUSH && step.reg != RBP)
			last = step.reg;
		any = true;
	}
	return false;
}

bool cprof_ahead_interpreter(const uint8_t *code, size_t n, size_t at, bool is_return,
			     struct cprof_ahead *ret_ahead)
{
	if (at > n)
		return false;
	return is_leaving(code + at, n - at, ret_ahead) ||
	       (!is_return &&
		(has_left(code, n, at, ret_ahead) || has_entered(code, n, at, ret_ahead) ||
		 is_entering(code + at, n - at, ret_ahead)));
}

/* ---- compiled code ---- */

/* The step says nothing about where the stack pointer comes from. */
static bool goes_on(const struct step *step)
{
	switch (step->kind) {
	case POP:
		return step->reg != RBP;
	case MOVE:
		return step->reg != RSP;
	case ROUND:
	case LEAVE:
	case JUMP:
	case AWAY:
	case END:
		return false;
	default:
		return true;
	}
}

/* The step takes the frame itself away: the saved frame pointer is next. */
static bool takes_frame(const struct ahead *a, const struct step *step, int32_t frame_bytes)
{
	struct ahead then = *a;
	struct step pop;
	return step->kind == ADD && step->by == frame_bytes - 16 && next(&then, &pop) &&
	       pop.kind == POP && pop.reg == RBP;
}

int32_t cprof_ahead_pushed(const uint8_t *code, size_t n, int32_t frame_bytes)
{
	struct ahead a;
	struct step step;
	int32_t now = 0, most = 0;
	if (!start(&a, code, n))
		return 0;
	while (next(&a, &step) && goes_on(&step) && !takes_frame(&a, &step, frame_bytes)) {
		now += moved_by(&step);
		most = now > most ? now : most;
	}
	return most <= PUSHED_MAX ? most : 0;
}
