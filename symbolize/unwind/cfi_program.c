/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/unwind/cfi.h"

#include <dwarf.h>

#include "symbolize/unwind/cfi_reader.h"

#define REMEMBER_MAX 32 /* compilers nest one deep, hand-written code two */

struct state {
	struct cprof_cfi_row row;
	struct cprof_cfi_row initial; /* after the CIE's program */
	struct cprof_cfi_row remembered[REMEMBER_MAX];
	unsigned n_remembered;
	struct cprof_cfi_rule nowhere; /* of registers that we do not follow: vector ones */
	uint64_t loc;
	const struct cprof_cfi_fde *fde;
};

/* A register's rule, to be written. */
static struct cprof_cfi_rule *rule_of(struct state *s, uint64_t reg)
{
	return reg < CPROF_ARCH_MAX_REGS ? &s->row.regs[reg] : &s->nowhere;
}

static void set(struct state *s, uint64_t reg, enum cprof_cfi_how how, int64_t offset)
{
	*rule_of(s, reg) = (struct cprof_cfi_rule){ .how = how, .offset = offset };
}

static int64_t factored(const struct state *s, uint64_t n)
{
	return (int64_t)(n * (uint64_t)s->fde->data_align);
}

static struct cprof_cfi_expr block(struct cprof_cfi_reader *r)
{
	uint64_t size = cprof_cfi_uleb(r);
	return (struct cprof_cfi_expr){ cprof_cfi_bytes(r, size), (size_t)size };
}

static void set_expr(struct state *s, uint64_t reg, enum cprof_cfi_how how,
		     struct cprof_cfi_reader *r)
{
	*rule_of(s, reg) = (struct cprof_cfi_rule){ .how = how, .expr = block(r) };
}

static void set_cfa(struct state *s, uint64_t reg, int64_t offset, struct cprof_cfi_reader *r)
{
	if (reg >= CPROF_ARCH_MAX_REGS)
		r->bad = true;
	s->row.cfa = (struct cprof_cfi_rule){ .how = CPROF_CFI_IN_REG,
					      .reg = (uint8_t)reg,
					      .offset = offset };
}

/* Only a CFA that is register + offset can have one half of it changed. */
static void change_cfa(struct state *s, const uint64_t *reg, const int64_t *offset,
		       struct cprof_cfi_reader *r)
{
	if (s->row.cfa.how != CPROF_CFI_IN_REG)
		r->bad = true;
	else
		set_cfa(s, reg ? *reg : s->row.cfa.reg, offset ? *offset : s->row.cfa.offset, r);
}

static void restore(struct state *s, uint64_t reg)
{
	if (reg < CPROF_ARCH_MAX_REGS)
		s->row.regs[reg] = s->initial.regs[reg];
}

static void in_reg(struct state *s, uint64_t reg, uint64_t other, struct cprof_cfi_reader *r)
{
	if (other >= CPROF_ARCH_MAX_REGS && reg < CPROF_ARCH_MAX_REGS)
		r->bad = true;
	*rule_of(s, reg) =
		(struct cprof_cfi_rule){ .how = CPROF_CFI_IN_REG, .reg = (uint8_t)other };
}

static void remember_state(struct state *s, struct cprof_cfi_reader *r)
{
	if (s->n_remembered == REMEMBER_MAX)
		r->bad = true;
	else
		s->remembered[s->n_remembered++] = s->row;
}

static void restore_state(struct state *s, struct cprof_cfi_reader *r)
{
	if (s->n_remembered == 0)
		r->bad = true;
	else
		s->row = s->remembered[--s->n_remembered];
}

static void advance(struct state *s, uint64_t delta)
{
	s->loc += delta * s->fde->code_align;
}

/* Where the frame's CFA is; false: the instruction is of something else. */
static bool extended_cfa(struct state *s, uint8_t op, struct cprof_cfi_reader *r)
{
	uint64_t reg;
	int64_t offset;
	switch (op) {
	case DW_CFA_def_cfa:
		reg = cprof_cfi_uleb(r);
		set_cfa(s, reg, (int64_t)cprof_cfi_uleb(r), r);
		return true;
	case DW_CFA_def_cfa_sf:
		reg = cprof_cfi_uleb(r);
		set_cfa(s, reg, factored(s, (uint64_t)cprof_cfi_sleb(r)), r);
		return true;
	case DW_CFA_def_cfa_register:
		reg = cprof_cfi_uleb(r);
		change_cfa(s, &reg, NULL, r);
		return true;
	case DW_CFA_def_cfa_offset:
		offset = (int64_t)cprof_cfi_uleb(r);
		change_cfa(s, NULL, &offset, r);
		return true;
	case DW_CFA_def_cfa_offset_sf:
		offset = factored(s, (uint64_t)cprof_cfi_sleb(r));
		change_cfa(s, NULL, &offset, r);
		return true;
	case DW_CFA_def_cfa_expression:
		s->row.cfa = (struct cprof_cfi_rule){ .how = CPROF_CFI_IS_EXPR, .expr = block(r) };
		return true;
	default:
		return false;
	}
}

/* The instructions whose operand is not in the opcode byte. */
static void extended(struct state *s, uint8_t op, struct cprof_cfi_reader *r)
{
	struct cprof_cfi_base base = { s->fde->section.bytes, s->fde->section.addr, 0 };
	uint64_t reg;
	switch (op) {
	case DW_CFA_nop:
		return;
	case DW_CFA_set_loc:
		s->loc = cprof_cfi_pointer(r, s->fde->encoding, &base);
		return;
	case DW_CFA_advance_loc1:
		advance(s, cprof_cfi_fixed(r, 1));
		return;
	case DW_CFA_advance_loc2:
		advance(s, cprof_cfi_fixed(r, 2));
		return;
	case DW_CFA_advance_loc4:
		advance(s, cprof_cfi_fixed(r, 4));
		return;
	case DW_CFA_MIPS_advance_loc8:
		advance(s, cprof_cfi_fixed(r, 8));
		return;
	case DW_CFA_offset_extended:
		reg = cprof_cfi_uleb(r);
		set(s, reg, CPROF_CFI_AT_CFA, factored(s, cprof_cfi_uleb(r)));
		return;
	case DW_CFA_offset_extended_sf:
		reg = cprof_cfi_uleb(r);
		set(s, reg, CPROF_CFI_AT_CFA, factored(s, (uint64_t)cprof_cfi_sleb(r)));
		return;
	case DW_CFA_GNU_negative_offset_extended:
		reg = cprof_cfi_uleb(r);
		set(s, reg, CPROF_CFI_AT_CFA, factored(s, 0 - cprof_cfi_uleb(r)));
		return;
	case DW_CFA_val_offset:
		reg = cprof_cfi_uleb(r);
		set(s, reg, CPROF_CFI_IS_CFA, factored(s, cprof_cfi_uleb(r)));
		return;
	case DW_CFA_val_offset_sf:
		reg = cprof_cfi_uleb(r);
		set(s, reg, CPROF_CFI_IS_CFA, factored(s, (uint64_t)cprof_cfi_sleb(r)));
		return;
	case DW_CFA_restore_extended:
		restore(s, cprof_cfi_uleb(r));
		return;
	case DW_CFA_undefined:
		set(s, cprof_cfi_uleb(r), CPROF_CFI_UNDEFINED, 0);
		return;
	case DW_CFA_same_value:
		set(s, cprof_cfi_uleb(r), CPROF_CFI_SAME, 0);
		return;
	case DW_CFA_register:
		reg = cprof_cfi_uleb(r);
		in_reg(s, reg, cprof_cfi_uleb(r), r);
		return;
	case DW_CFA_remember_state:
		remember_state(s, r);
		return;
	case DW_CFA_restore_state:
		restore_state(s, r);
		return;
	case DW_CFA_expression:
		set_expr(s, cprof_cfi_uleb(r), CPROF_CFI_AT_EXPR, r);
		return;
	case DW_CFA_val_expression:
		set_expr(s, cprof_cfi_uleb(r), CPROF_CFI_IS_EXPR, r);
		return;
	case DW_CFA_GNU_args_size:
		cprof_cfi_uleb(r);
		return;
	case DW_CFA_GNU_window_save:
		/* On AArch64: the return address is signed from here on; we clear the signature always. */
		return;
	default:
		if (!extended_cfa(s, op, r))
			r->bad = true;
	}
}

/* One instruction; false when it would lead past `addr`, and then the row is the wanted one. */
static bool instruction(struct state *s, struct cprof_cfi_reader *r, uint64_t addr)
{
	uint64_t before = s->loc;
	uint8_t op = cprof_cfi_u8(r);
	switch (op & 0xc0) {
	case DW_CFA_advance_loc:
		advance(s, op & 0x3f);
		break;
	case DW_CFA_offset:
		set(s, op & 0x3f, CPROF_CFI_AT_CFA, factored(s, cprof_cfi_uleb(r)));
		break;
	case DW_CFA_restore:
		restore(s, op & 0x3f);
		break;
	default:
		extended(s, op, r);
	}
	return s->loc == before || s->loc <= addr;
}

static bool run(struct state *s, const uint8_t *from, const uint8_t *end, uint64_t addr,
		uint32_t *steps)
{
	struct cprof_cfi_reader r = { from, end, false };
	while (r.at < r.end) {
		if (*steps == 0)
			return false;
		--*steps;
		if (!instruction(s, &r, addr))
			break;
		if (r.bad)
			return false;
	}
	return !r.bad;
}

bool cprof_cfi_run(const struct cprof_cfi_fde *fde, uint64_t file_addr, uint32_t *steps,
		   struct cprof_cfi_row *ret_row)
{
	struct state s;
	/* The remembered rows are written before they are read; clearing 35 KB would be most of the cost. */
	s.n_remembered = 0;
	s.fde = fde;
	s.loc = fde->start;
	memset(&s.row, 0, sizeof(s.row));
	memset(&s.initial, 0, sizeof(s.initial));
	/* No row by the CIE alone: a program that moves on in there is malformed, and moves nothing of ours. */
	if (!run(&s, fde->cie_program, fde->cie_program_end, UINT64_MAX, steps))
		return false;
	s.loc = fde->start;
	s.initial = s.row;
	if (!run(&s, fde->program, fde->program_end, file_addr, steps))
		return false;
	if (s.row.cfa.how != CPROF_CFI_IN_REG && s.row.cfa.how != CPROF_CFI_IS_EXPR)
		return false;
	s.row.signal = fde->signal;
	s.row.ra_column = (uint8_t)fde->ra_column;
	*ret_row = s.row;
	return true;
}
