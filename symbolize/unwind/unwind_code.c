/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/unwind/unwind_code.h"

#include <elf.h>
#include <string.h>

#include "cprof/hash.h"

#define INSTRUCTIONS_MAX 600
#define PATHS_MAX        24
#define STORES_MAX       16
#define VISITED_BITS     11
#define REGS             16
#define RETURNS_WANTED   2
#define THUNK_BYTES      4
#define RET              0xc3

/* What a register or a stack slot holds, in terms of the registers at the start. */
struct value {
	enum {
		UNKNOWN,
		ADDRESS,
		LOADED,
		CONSTANT
	} kind; /* base + offset; the word there; offset */
	uint8_t base;
	int32_t offset;
};

struct path {
	uint64_t pc;
	struct value regs[REGS]; /* by DWARF number */
	struct {
		struct value at, what;
	} stores[STORES_MAX];
	unsigned n_stores;
	bool after_call; /* the last instruction was a call: it may not return */
	bool has_popped;
	struct value popped; /* the stack pointer behind the last pop */
};

struct search {
	const struct cprof_arch *arch;
	const struct cprof_memory *code;
	bool pieces;
	ZydisDecoder decoder;
	struct path paths[PATHS_MAX]; /* still to be followed; the last one next */
	unsigned n_paths;
	uint64_t visited[1 << VISITED_BITS];
	unsigned n_instructions;
	struct cprof_unwind_rule found[RETURNS_WANTED];
	unsigned n_found;
};

enum { RAX = 0, RBP = 6, RSP = 7 };

/* mov %reg,(%rsp) */
static bool is_thunk_store(const uint8_t code[THUNK_BYTES])
{
	return (code[0] & 0xfb) == 0x48 && code[1] == 0x89 && (code[2] & 0xc7) == 4 &&
	       code[3] == 0x24;
}

/* ---- values ---- */

int cprof_unwind_code_reg(ZydisRegister reg)
{
	static const uint8_t dwarf[REGS] = { 0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15 };
	ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
	if (whole < ZYDIS_REGISTER_RAX || whole > ZYDIS_REGISTER_R15)
		return -1;
	return dwarf[whole - ZYDIS_REGISTER_RAX];
}

static struct value plus(struct value value, int64_t by)
{
	int64_t sum = value.offset + by;
	if (value.kind != ADDRESS || sum < -(1 << 24) || sum > 1 << 24)
		return (struct value){ .kind = UNKNOWN };
	value.offset = (int32_t)sum;
	return value;
}

static bool same(struct value a, struct value b)
{
	return a.kind == b.kind && a.base == b.base && a.offset == b.offset;
}

static struct value load(const struct path *p, struct value at)
{
	for (unsigned i = p->n_stores; i-- > 0;) {
		if (same(p->stores[i].at, at))
			return p->stores[i].what;
	}
	if (at.kind == ADDRESS)
		at.kind = LOADED;
	else
		at.kind = UNKNOWN;
	return at;
}

/* A store whose place or value is forgotten makes a later load look like one of the caller's word: drop the path. */
static bool store(struct path *p, struct value at, struct value what)
{
	if (at.kind != ADDRESS)
		return true; /* not on this stack, as far as can be told */
	if (p->n_stores == STORES_MAX)
		return false;
	p->stores[p->n_stores].at = at;
	p->stores[p->n_stores++].what = what;
	return true;
}

static bool push(struct path *p, struct value what)
{
	p->regs[RSP] = plus(p->regs[RSP], -8);
	return store(p, p->regs[RSP], what);
}

static struct value pop(struct path *p)
{
	struct value what = load(p, p->regs[RSP]);
	p->regs[RSP] = plus(p->regs[RSP], 8);
	return what;
}

static struct value operand_addr(const struct path *p, const ZydisDecodedOperand *operand)
{
	int base = cprof_unwind_code_reg(operand->mem.base);
	if (base < 0 || operand->mem.index != ZYDIS_REGISTER_NONE ||
	    operand->mem.segment == ZYDIS_REGISTER_FS || operand->mem.segment == ZYDIS_REGISTER_GS)
		return (struct value){ .kind = UNKNOWN };
	return plus(p->regs[base], operand->mem.disp.value);
}

/* ---- the rule at a return ---- */

static void keep_reg(const struct path *p, uint8_t reg, struct cprof_unwind_rule *rule)
{
	struct value v = p->regs[reg];
	struct cprof_unwind_place *place = &rule->places[rule->n_places];
	if (v.kind == ADDRESS && v.base == reg && v.offset == 0)
		return;
	rule->n_places++;
	*place = (struct cprof_unwind_place){ .reg = reg, .from = CPROF_IS_LOST };
	if (v.kind == ADDRESS || v.kind == LOADED) {
		place->from = v.kind == LOADED ? CPROF_FROM_BASE : CPROF_IS_BASE;
		place->base = v.base;
		place->offset = v.offset;
	}
}

/* At a return instruction: the return address is on top of the stack. */
static bool found(struct search *s, const struct path *p)
{
	struct value sp = p->regs[RSP];
	struct cprof_unwind_rule *rule = &s->found[s->n_found];
	if (sp.kind != ADDRESS)
		return false;
	memset(rule, 0, sizeof(*rule));
	rule->guessed = true;
	rule->cfa = CPROF_CFA_REG;
	rule->cfa_reg = sp.base;
	rule->offset = sp.offset + 8;
	rule->ra = (struct cprof_unwind_place){ .reg = s->arch->ra,
						.from = CPROF_FROM_CFA,
						.offset = -8 };
	for (uint8_t reg = 0; reg < REGS; reg++) {
		if (s->arch->callee_saved >> reg & 1)
			keep_reg(p, reg, rule);
	}
	s->n_found++;
	return true;
}

/* ---- following the code ---- */

static bool first_visit(struct search *s, uint64_t pc)
{
	size_t at = (size_t)(cprof_hash_u64(pc) >> (64 - VISITED_BITS));
	for (unsigned i = 0; i < 1 << VISITED_BITS; i++) {
		uint64_t *slot = &s->visited[(at + i) & ((1 << VISITED_BITS) - 1)];
		if (*slot == pc)
			return false;
		if (*slot == 0) {
			*slot = pc;
			return true;
		}
	}
	return false;
}

/* Follow `p` later: next of all, or, where it is doubtful that the code gets there, last of all. */
static void later(struct search *s, const struct path *p, uint64_t pc, bool doubtful)
{
	if (s->n_paths == PATHS_MAX)
		return;
	unsigned at = doubtful ? 0 : s->n_paths;
	memmove(&s->paths[at + 1], &s->paths[at], (s->n_paths - at) * sizeof(*p));
	s->paths[at] = *p;
	s->paths[at].pc = pc;
	s->paths[at].after_call = false;
	s->n_paths++;
}

struct step {
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

static bool fetch(struct search *s, uint64_t pc, struct step *step)
{
	uint8_t bytes[ZYDIS_MAX_INSTRUCTION_LENGTH];
	size_t n = sizeof(bytes);
	while (n && !s->code->read(s->code->ctx, pc, bytes, n))
		n--; /* the end of the mapping */
	return n && ZYAN_SUCCESS(ZydisDecoderDecodeFull(&s->decoder, bytes, n, &step->insn,
							step->operands));
}

static bool is_padding(const struct step *step)
{
	return step->insn.mnemonic == ZYDIS_MNEMONIC_NOP ||
	       step->insn.mnemonic == ZYDIS_MNEMONIC_INT3;
}

/* Registers that an instruction of no further interest writes are not known from there on. */
static void forget_written(struct path *p, const struct step *step)
{
	for (unsigned i = 0; i < step->insn.operand_count; i++) {
		const ZydisDecodedOperand *operand = &step->operands[i];
		int reg = operand->type == ZYDIS_OPERAND_TYPE_REGISTER
				  ? cprof_unwind_code_reg(operand->reg.value)
				  : -1;
		if (reg >= 0 && (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			p->regs[reg] = (struct value){ .kind = UNKNOWN };
	}
}

static bool is_reg64(const ZydisDecodedOperand *operand)
{
	return operand->type == ZYDIS_OPERAND_TYPE_REGISTER && operand->size == 64 &&
	       cprof_unwind_code_reg(operand->reg.value) >= 0;
}

static bool move(struct path *p, const struct step *step)
{
	const ZydisDecodedOperand *to = &step->operands[0], *from = &step->operands[1];
	if (to->type == ZYDIS_OPERAND_TYPE_MEMORY && to->size == 64) {
		struct value what = is_reg64(from) ? p->regs[cprof_unwind_code_reg(from->reg.value)]
						   : (struct value){ .kind = UNKNOWN };
		return store(p, operand_addr(p, to), what);
	}
	forget_written(p, step);
	int reg =
		to->type == ZYDIS_OPERAND_TYPE_REGISTER ? cprof_unwind_code_reg(to->reg.value) : -1;
	if (reg < 0)
		return true;
	if (from->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
		p->regs[reg] = (struct value){ CONSTANT, 0, (int32_t)from->imm.value.s };
	} else if (is_reg64(to) && is_reg64(from)) {
		p->regs[reg] = p->regs[cprof_unwind_code_reg(from->reg.value)];
	} else if (is_reg64(to) && from->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		p->regs[reg] = load(p, operand_addr(p, from));
	}
	return true;
}

static void add(struct path *p, const struct step *step, int sign)
{
	const ZydisDecodedOperand *to = &step->operands[0], *by = &step->operands[1];
	struct value sum = { .kind = UNKNOWN };
	if (is_reg64(to) && by->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		sum = plus(p->regs[cprof_unwind_code_reg(to->reg.value)], sign * by->imm.value.s);
	forget_written(p, step);
	if (is_reg64(to))
		p->regs[cprof_unwind_code_reg(to->reg.value)] = sum;
}

static void lea(struct path *p, const struct step *step)
{
	struct value addr = operand_addr(p, &step->operands[1]);
	if (!is_reg64(&step->operands[0]))
		addr.kind = UNKNOWN;
	p->regs[cprof_unwind_code_reg(step->operands[0].reg.value)] = addr;
}

static void pop_into(struct path *p, const struct step *step)
{
	struct value what = pop(p);
	if (is_reg64(&step->operands[0]))
		p->regs[cprof_unwind_code_reg(step->operands[0].reg.value)] = what;
	p->has_popped = step->operands[0].reg.value != ZYDIS_REGISTER_RBP;
	p->popped = p->regs[RSP];
}

static bool push_from(struct path *p, const struct step *step)
{
	struct value what = is_reg64(&step->operands[0])
				    ? p->regs[cprof_unwind_code_reg(step->operands[0].reg.value)]
				    : (struct value){ .kind = UNKNOWN };
	return push(p, what);
}

static void call(struct search *s, struct path *p)
{
	for (uint8_t reg = 0; reg < REGS; reg++) {
		if (reg != RSP && !(s->arch->callee_saved >> reg & 1))
			p->regs[reg] = (struct value){ .kind = UNKNOWN };
	}
	p->after_call = true;
}

static bool jump_target(const struct step *step, uint64_t pc, uint64_t *ret_target)
{
	return step->operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
	       ZYAN_SUCCESS(
		       ZydisCalcAbsoluteAddress(&step->insn, &step->operands[0], pc, ret_target));
}

/*
 * The call inside of a thunk against speculation, which does not return: what it calls puts another address in the place of its
 * return address (retpolines: mov %reg,(%rsp); ret) or takes it away (return thunks: lea 8(%rsp),%rsp; ret).
 */
static bool is_thunk_call(struct search *s, const struct step *step, uint64_t pc)
{
	uint8_t code[6];
	uint64_t target;
	if (!jump_target(step, pc, &target) ||
	    !s->code->read(s->code->ctx, target, code, THUNK_BYTES + 1))
		return false;
	return is_thunk_store(code) ? code[THUNK_BYTES] == RET
				    : s->code->read(s->code->ctx, target, code, sizeof(code)) &&
					      memcmp(code, "\x48\x8d\x64\x24\x08\xc3", 6) == 0;
}

/* A jump through a pointer: a tail call if the stack is as at the function's start; else a switch, which has an index. */
static bool is_tail_call(const struct search *s, const struct step *step)
{
	const ZydisDecodedOperand *to = &step->operands[0];
	if (to->type != ZYDIS_OPERAND_TYPE_MEMORY)
		return s->pieces;
	return to->mem.base == ZYDIS_REGISTER_RIP ||
	       (s->pieces && to->mem.index == ZYDIS_REGISTER_NONE);
}

/*
 * A tail call. Pieces of a Java machine go to a method's handler through a register, with the return address popped, so that the stack is
 * that method's.
 */
static void found_tail_call(struct search *s, struct path *p, const struct step *step)
{
	if (s->pieces && step->operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER && p->has_popped &&
	    same(p->popped, p->regs[RSP]))
		p->regs[RSP] = plus(p->regs[RSP], -8);
	found(s, p);
}

/* One instruction; false when the path has ended. */
static bool follow(struct search *s, struct path *p, const struct step *step)
{
	uint64_t target, next = p->pc + step->insn.length;
	uint64_t pc = p->pc;
	p->pc = next;
	p->after_call = false;
	switch (step->insn.mnemonic) {
	case ZYDIS_MNEMONIC_RET:
		/* To what this code has put there itself: a jump, made so against speculation. The return address is behind it. */
		if (load(p, p->regs[RSP]).kind != LOADED)
			(void)pop(p);
		found(s, p);
		return false;
	case ZYDIS_MNEMONIC_JMP:
		if (jump_target(step, pc, &target)) {
			p->pc = target;
			return true;
		}
		if (is_tail_call(s, step))
			found_tail_call(s, p, step);
		return false;
	case ZYDIS_MNEMONIC_UD2:
	case ZYDIS_MNEMONIC_HLT:
	case ZYDIS_MNEMONIC_INT3:
	case ZYDIS_MNEMONIC_ENDBR64: /* by falling through: the next function begins here */
		return false;
	case ZYDIS_MNEMONIC_CALL:
		if (is_thunk_call(s, step, pc)) {
			found(s, p);
			return false;
		}
		call(s, p);
		return true;
	case ZYDIS_MNEMONIC_PUSH:
		return push_from(p, step);
	case ZYDIS_MNEMONIC_POP:
		pop_into(p, step);
		return p->regs[RSP].kind == ADDRESS;
	case ZYDIS_MNEMONIC_LEAVE:
		p->regs[RSP] = p->regs[RBP];
		p->regs[RBP] = pop(p);
		return p->regs[RSP].kind == ADDRESS;
	case ZYDIS_MNEMONIC_MOV:
		return move(p, step) && p->regs[RSP].kind == ADDRESS;
	case ZYDIS_MNEMONIC_LEA:
		lea(p, step);
		return p->regs[RSP].kind == ADDRESS;
	case ZYDIS_MNEMONIC_ADD:
		add(p, step, 1);
		return p->regs[RSP].kind == ADDRESS;
	case ZYDIS_MNEMONIC_SUB:
		add(p, step, -1);
		return p->regs[RSP].kind == ADDRESS;
	default:
		if (step->insn.meta.category == ZYDIS_CATEGORY_COND_BR) {
			if (jump_target(step, pc, &target))
				later(s, p, target, false);
			return true;
		}
		forget_written(p, step);
		return p->regs[RSP].kind == ADDRESS;
	}
}

static void follow_path(struct search *s, struct path *p)
{
	bool at_start = s->n_instructions == 0;
	while (s->n_instructions++ < INSTRUCTIONS_MAX && first_visit(s, p->pc)) {
		struct step step;
		if (!fetch(s, p->pc, &step))
			return;
		if (p->after_call && is_padding(&step)) {
			later(s, p, p->pc + step.insn.length, true);
			return;
		}
		bool entry = at_start && step.insn.mnemonic == ZYDIS_MNEMONIC_ENDBR64;
		at_start = false;
		if (entry)
			p->pc += step.insn.length;
		else if (!follow(s, p, &step))
			return;
	}
}

static void search_all(struct search *s, uint64_t pc)
{
	uint8_t thunk[THUNK_BYTES + 1];
	struct path p = { .pc = pc };
	for (uint8_t reg = 0; reg < REGS; reg++)
		p.regs[reg] = (struct value){ ADDRESS, reg, 0 };
	/* At the end of such a thunk the word on top of the stack is where it goes, whatever it looks like. */
	if (s->code->read(s->code->ctx, pc - THUNK_BYTES, thunk, sizeof(thunk)) &&
	    is_thunk_store(thunk) && thunk[THUNK_BYTES] == RET)
		p.regs[RSP].offset = 8;
	follow_path(s, &p);
	while (s->n_paths && s->n_found < RETURNS_WANTED && s->n_instructions < INSTRUCTIONS_MAX) {
		p = s->paths[--s->n_paths];
		follow_path(s, &p);
	}
}

bool cprof_unwind_code_rule(const struct cprof_arch *arch, const struct cprof_memory *code,
			    uint64_t pc, bool pieces, struct cprof_unwind_rule *ret_rule)
{
	struct search s;
	if (arch->elf_machine != EM_X86_64)
		return false;
	s.arch = arch;
	s.code = code;
	s.pieces = pieces;
	s.n_paths = s.n_found = s.n_instructions = 0;
	memset(s.visited, 0, sizeof(s.visited));
	if (!ZYAN_SUCCESS(
		    ZydisDecoderInit(&s.decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)))
		return false;
	search_all(&s, pc);
	if (!s.n_found)
		return false;
	*ret_rule = s.found[0];
	return true;
}

bool cprof_unwind_code_sigreturn(const struct cprof_arch *arch, const struct cprof_memory *code,
				 uint64_t pc, struct cprof_unwind_rule *ret_rule)
{
	uint8_t bytes[CPROF_ARCH_SIGRETURN_MAX];
	const struct cprof_arch_sigframe *frame = &arch->sigframe;
	bool is = false;
	for (size_t i = 0; i < CPROF_ARCH_SIGRETURNS && !is; i++) {
		size_t n = frame->sigreturns[i].n;
		is = n && code->read(code->ctx, pc, bytes, n) &&
		     memcmp(bytes, frame->sigreturns[i].bytes, n) == 0;
	}
	if (!is)
		return false;
	memset(ret_rule, 0, sizeof(*ret_rule));
	ret_rule->signal = true;
	ret_rule->cfa = CPROF_CFA_DEREF;
	ret_rule->cfa_reg = arch->sp;
	ret_rule->offset = frame->reg_offset[arch->sp];
	ret_rule->ra = (struct cprof_unwind_place){ .reg = CPROF_ARCH_PC,
						    .from = CPROF_FROM_BASE,
						    .base = arch->sp,
						    .offset = frame->pc_offset };
	for (uint8_t reg = 0; reg < arch->n_regs; reg++) {
		if (!frame->reg_offset[reg])
			continue;
		ret_rule->places[ret_rule->n_places++] =
			(struct cprof_unwind_place){ .reg = reg,
						     .from = CPROF_FROM_BASE,
						     .base = arch->sp,
						     .offset = frame->reg_offset[reg] };
	}
	return true;
}
