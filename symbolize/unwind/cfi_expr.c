/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/unwind/cfi.h"

#include <dwarf.h>

#include "symbolize/unwind/cfi_reader.h"

#define STACK_MAX 32
#define STEPS_MAX 256

struct machine {
	const struct cprof_cfi_machine *outside;
	struct cprof_cfi_reader r;
	const uint8_t *start;
	uint64_t stack[STACK_MAX];
	unsigned depth;
	bool bad;
};

static void push(struct machine *m, uint64_t value)
{
	if (m->depth == STACK_MAX)
		m->bad = true;
	else
		m->stack[m->depth++] = value;
}

static uint64_t pop(struct machine *m)
{
	if (m->depth == 0) {
		m->bad = true;
		return 0;
	}
	return m->stack[--m->depth];
}

/* The value `n` below the top, 0 the top itself. */
static uint64_t peek(struct machine *m, unsigned n)
{
	if (n >= m->depth) {
		m->bad = true;
		return 0;
	}
	return m->stack[m->depth - 1 - n];
}

static void push_reg(struct machine *m, uint64_t reg, int64_t offset)
{
	const struct cprof_regs *regs = m->outside->regs;
	if (reg == m->outside->pc_column)
		push(m, regs->pc + (uint64_t)offset);
	else if (reg < CPROF_ARCH_MAX_REGS && (regs->valid >> reg & 1))
		push(m, regs->r[reg] + (uint64_t)offset);
	else
		m->bad = true;
}

static void dereference(struct machine *m, uint64_t size)
{
	uint64_t value = 0, addr = pop(m);
	if (m->bad || size == 0 || size > sizeof(value) ||
	    !m->outside->read(m->outside->ctx, addr, &value, (size_t)size))
		m->bad = true;
	push(m, value);
}

static void jump(struct machine *m, bool taken)
{
	int64_t by = cprof_cfi_sfixed(&m->r, 2);
	if (!taken || m->r.bad)
		return;
	if (by < m->start - m->r.at || by > m->r.end - m->r.at)
		m->bad = true;
	else
		m->r.at += by;
}

static void rotate(struct machine *m)
{
	if (m->depth < 3) {
		m->bad = true;
		return;
	}
	uint64_t *top = &m->stack[m->depth - 1], first = top[0];
	top[0] = top[-1];
	top[-1] = top[-2];
	top[-2] = first;
}

static void swap(struct machine *m)
{
	uint64_t a = pop(m), b = pop(m);
	push(m, a);
	push(m, b);
}

static uint64_t divide(struct machine *m, uint64_t a, uint64_t b)
{
	if (b == 0 || (a == (uint64_t)INT64_MIN && b == UINT64_MAX)) {
		m->bad = true;
		return 0;
	}
	return (uint64_t)((int64_t)a / (int64_t)b);
}

static uint64_t modulo(struct machine *m, uint64_t a, uint64_t b)
{
	if (b == 0) {
		m->bad = true;
		return 0;
	}
	return a % b;
}

static uint64_t shift_arithmetic(uint64_t a, uint64_t by)
{
	return (uint64_t)((int64_t)a >> (by < 63 ? by : 63));
}

/* Two values off the stack, one back; false if `op` is no such operation. */
static bool binary(struct machine *m, uint8_t op)
{
	uint64_t b = m->depth > 0 ? peek(m, 0) : 0, a = m->depth > 1 ? peek(m, 1) : 0, value;
	int64_t sa = (int64_t)a, sb = (int64_t)b;
	/* clang-format off */
	switch (op) {
	case DW_OP_and: value = a & b; break;
	case DW_OP_or: value = a | b; break;
	case DW_OP_xor: value = a ^ b; break;
	case DW_OP_plus: value = a + b; break;
	case DW_OP_minus: value = a - b; break;
	case DW_OP_mul: value = a * b; break;
	case DW_OP_div: value = divide(m, a, b); break;
	case DW_OP_mod: value = modulo(m, a, b); break;
	case DW_OP_shl: value = b < 64 ? a << b : 0; break;
	case DW_OP_shr: value = b < 64 ? a >> b : 0; break;
	case DW_OP_shra: value = shift_arithmetic(a, b); break;
	case DW_OP_eq: value = sa == sb; break;
	case DW_OP_ne: value = sa != sb; break;
	case DW_OP_lt: value = sa < sb; break;
	case DW_OP_le: value = sa <= sb; break;
	case DW_OP_gt: value = sa > sb; break;
	case DW_OP_ge: value = sa >= sb; break;
	default: return false;
	}
	/* clang-format on */
	pop(m);
	pop(m);
	push(m, value);
	return true;
}

/* Constants and registers; false if `op` is none. */
static bool literal(struct machine *m, uint8_t op)
{
	struct cprof_cfi_reader *r = &m->r;
	uint64_t reg;
	if (op >= DW_OP_lit0 && op <= DW_OP_lit31) {
		push(m, (uint64_t)(op - DW_OP_lit0));
		return true;
	}
	/* Not for expressions of frames by the standard; libgcc and libdwfl take the register's value. */
	if (op >= DW_OP_reg0 && op <= DW_OP_reg31) {
		push_reg(m, (uint64_t)(op - DW_OP_reg0), 0);
		return true;
	}
	if (op >= DW_OP_breg0 && op <= DW_OP_breg31) {
		push_reg(m, (uint64_t)(op - DW_OP_breg0), cprof_cfi_sleb(r));
		return true;
	}
	/* clang-format off */
	switch (op) {
	case DW_OP_addr:
	case DW_OP_const8u:
	case DW_OP_const8s: push(m, cprof_cfi_fixed(r, 8)); return true;
	case DW_OP_const1u: push(m, cprof_cfi_fixed(r, 1)); return true;
	case DW_OP_const1s: push(m, (uint64_t)cprof_cfi_sfixed(r, 1)); return true;
	case DW_OP_const2u: push(m, cprof_cfi_fixed(r, 2)); return true;
	case DW_OP_const2s: push(m, (uint64_t)cprof_cfi_sfixed(r, 2)); return true;
	case DW_OP_const4u: push(m, cprof_cfi_fixed(r, 4)); return true;
	case DW_OP_const4s: push(m, (uint64_t)cprof_cfi_sfixed(r, 4)); return true;
	case DW_OP_constu: push(m, cprof_cfi_uleb(r)); return true;
	case DW_OP_consts: push(m, (uint64_t)cprof_cfi_sleb(r)); return true;
	case DW_OP_regx: push_reg(m, cprof_cfi_uleb(r), 0); return true;
	case DW_OP_bregx:
		reg = cprof_cfi_uleb(r);
		push_reg(m, reg, cprof_cfi_sleb(r));
		return true;
	default: return false;
	}
	/* clang-format on */
}

/* All other operations; bad if `op` is none. */
static void operate(struct machine *m, uint8_t op)
{
	uint64_t value;
	/* clang-format off */
	switch (op) {
	case DW_OP_nop: return;
	case DW_OP_dup: push(m, peek(m, 0)); return;
	case DW_OP_drop: pop(m); return;
	case DW_OP_over: push(m, peek(m, 1)); return;
	case DW_OP_pick: push(m, peek(m, cprof_cfi_u8(&m->r))); return;
	case DW_OP_swap: swap(m); return;
	case DW_OP_rot: rotate(m); return;
	case DW_OP_deref: dereference(m, 8); return;
	case DW_OP_deref_size: dereference(m, cprof_cfi_u8(&m->r)); return;
	case DW_OP_abs:
		value = pop(m);
		push(m, (int64_t)value < 0 ? 0 - value : value);
		return;
	case DW_OP_neg: push(m, 0 - pop(m)); return;
	case DW_OP_not: push(m, ~pop(m)); return;
	case DW_OP_plus_uconst: push(m, pop(m) + cprof_cfi_uleb(&m->r)); return;
	case DW_OP_skip: jump(m, true); return;
	case DW_OP_bra: jump(m, pop(m) != 0); return;
	default: m->bad = true;
	}
	/* clang-format on */
}

bool cprof_cfi_evaluate(struct cprof_cfi_expr expr, const uint64_t *first,
			const struct cprof_cfi_machine *outside, uint64_t *ret_value)
{
	struct machine m = {
		.outside = outside,
		.r = cprof_cfi_reader_of(expr.bytes, expr.size),
		.start = expr.bytes,
	};
	if (!expr.size)
		return false;
	if (first)
		push(&m, *first);
	for (unsigned steps = 0; m.r.at < m.r.end; steps++) {
		if (steps == STEPS_MAX)
			return false;
		uint8_t op = cprof_cfi_u8(&m.r);
		if (!literal(&m, op) && !binary(&m, op))
			operate(&m, op);
		if (m.bad || m.r.bad)
			return false;
	}
	*ret_value = pop(&m);
	return !m.bad;
}
