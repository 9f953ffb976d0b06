/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/unwind/unwind_rules.h"

#include <dwarf.h>
#include <stdlib.h>

#include "symbolize/unwind/cfi_reader.h"
#include "symbolize/unwind/unwind_code.h"
#include "symbolize/unwind/unwind_java.h"

/* 256 KB: ten times the distinct addresses of the busiest program measured (1,100). */
#define SLOTS_BITS 14
/* Distinct rules: libLLVM alone has 9,000, of which one program ever meets a few hundred. */
#define RULES_MAX 2048
#define EXPRS_MAX 1024

/* What reading the code for a rule costs of a walk's steps: it is 600 instructions at most. */
#define CODE_STEPS 1000u

#define EPOCH_SHIFT 52 /* no address of a user has bits there */

#define BY_CODE 0x40000000u /* of an owner: its unwind information was left aside */

#define NO_RULE    0x7fffffffu /* known to have none */
#define AFTER_CALL 0x80000000u /* the code before the address ends in a call */

struct cprof_unwind_slot {
	uint64_t offset; /* in the module's file; in anonymous memory the address */
	uint32_t owner;  /* module or process; 0: free */
	uint32_t rule;   /* its index or NO_RULE, and the bit AFTER_CALL */
};

struct cprof_error *cprof_unwind_rules_init(struct cprof_unwind_rules *rules,
					    const struct cprof_arch *arch)
{
	*rules = (struct cprof_unwind_rules){ .arch = arch };
	rules->slots = calloc((size_t)1 << SLOTS_BITS, sizeof(*rules->slots));
	rules->rules = calloc(RULES_MAX, sizeof(*rules->rules));
	rules->exprs = calloc(EXPRS_MAX, sizeof(*rules->exprs));
	if (rules->slots && rules->rules && rules->exprs)
		return NULL;
	cprof_unwind_rules_deinit(rules);
	return cprof_error_no_memory();
}

void cprof_unwind_rules_deinit(struct cprof_unwind_rules *rules)
{
	free(rules->slots);
	free(rules->rules);
	free(rules->exprs);
	cprof_map64_deinit(&rules->by_content);
	*rules = (struct cprof_unwind_rules){ 0 };
}

size_t cprof_unwind_rules_bytes(const struct cprof_unwind_rules *rules)
{
	return ((size_t)1 << SLOTS_BITS) * sizeof(*rules->slots) +
	       RULES_MAX * sizeof(*rules->rules) + EXPRS_MAX * sizeof(*rules->exprs) +
	       rules->by_content.cap * sizeof(*rules->by_content.slots);
}

static void flush(struct cprof_unwind_rules *rules)
{
	memset(rules->slots, 0, ((size_t)1 << SLOTS_BITS) * sizeof(*rules->slots));
	cprof_map64_deinit(&rules->by_content);
	rules->n_rules = 0;
	rules->n_exprs = 0;
	rules->n_switches = 0;
	rules->flushes++;
}

/* ---- from a row to a rule ---- */

static bool fits(int64_t value)
{
	return value >= INT32_MIN && value <= INT32_MAX;
}

/* `breg offset` and nothing else, or, with `deref`, that and a dereference. */
static bool is_base(struct cprof_cfi_expr expr, bool deref, uint8_t *ret_reg, int32_t *ret_offset)
{
	struct cprof_cfi_reader r = cprof_cfi_reader_of(expr.bytes, expr.size);
	uint8_t op = cprof_cfi_u8(&r);
	int64_t offset = cprof_cfi_sleb(&r);
	if (op < DW_OP_breg0 || op > DW_OP_breg31 || !fits(offset))
		return false;
	if (deref && cprof_cfi_u8(&r) != DW_OP_deref)
		return false;
	if (r.bad || r.at != r.end)
		return false;
	*ret_reg = (uint8_t)(op - DW_OP_breg0);
	*ret_offset = (int32_t)offset;
	return true;
}

/*
 * What every x86-64 linker writes for its lazy binding stubs: rsp + 8 + ((rip & 15) >= N) * 8, where N
 * depends on the kind of stub.
 */
static bool is_plt(struct cprof_cfi_expr expr, int32_t *ret_threshold)
{
	static const uint8_t before[] = { DW_OP_breg7, 8, DW_OP_breg16, 0, DW_OP_lit15, DW_OP_and };
	static const uint8_t after[] = { DW_OP_ge, DW_OP_lit3, DW_OP_shl, DW_OP_plus };
	const uint8_t *b = expr.bytes;
	if (expr.size != sizeof(before) + 1 + sizeof(after) ||
	    memcmp(b, before, sizeof(before)) != 0 ||
	    memcmp(b + sizeof(before) + 1, after, sizeof(after)) != 0)
		return false;
	if (b[sizeof(before)] < DW_OP_lit0 || b[sizeof(before)] > DW_OP_lit31)
		return false;
	*ret_threshold = b[sizeof(before)] - DW_OP_lit0;
	return true;
}

static bool keep_expr(struct cprof_unwind_rules *rules, struct cprof_cfi_expr expr,
		      int32_t *ret_index)
{
	if (rules->n_exprs == EXPRS_MAX)
		return false;
	rules->exprs[rules->n_exprs] = expr;
	*ret_index = (int32_t)rules->n_exprs++;
	return true;
}

static bool compact_cfa(struct cprof_unwind_rules *rules, const struct cprof_cfi_rule *cfa,
			struct cprof_unwind_rule *rule)
{
	if (cfa->how == CPROF_CFI_IN_REG) {
		rule->cfa = CPROF_CFA_REG;
		rule->cfa_reg = cfa->reg;
		rule->offset = (int32_t)cfa->offset;
		return fits(cfa->offset);
	}
	if (is_base(cfa->expr, true, &rule->cfa_reg, &rule->offset)) {
		rule->cfa = CPROF_CFA_DEREF;
		return true;
	}
	if (is_base(cfa->expr, false, &rule->cfa_reg, &rule->offset)) {
		rule->cfa = CPROF_CFA_REG;
		return true;
	}
	if (rules->arch->elf_machine == EM_X86_64 && is_plt(cfa->expr, &rule->add)) {
		rule->cfa = CPROF_CFA_PLT;
		rule->cfa_reg = rules->arch->sp;
		rule->offset = 8;
		return true;
	}
	rule->cfa = CPROF_CFA_EXPR;
	return keep_expr(rules, cfa->expr, &rule->offset);
}

static bool compact_place(struct cprof_unwind_rules *rules, uint8_t reg,
			  const struct cprof_cfi_rule *from, struct cprof_unwind_place *place)
{
	*place = (struct cprof_unwind_place){ .reg = reg, .offset = (int32_t)from->offset };
	switch (from->how) {
	case CPROF_CFI_AT_CFA:
		place->from = CPROF_FROM_CFA;
		return fits(from->offset);
	case CPROF_CFI_IS_CFA:
		place->from = CPROF_IS_CFA;
		return fits(from->offset);
	case CPROF_CFI_IN_REG:
		place->from = CPROF_IS_BASE;
		place->base = from->reg;
		place->offset = 0;
		return true;
	case CPROF_CFI_AT_EXPR:
		place->from = CPROF_FROM_BASE;
		if (is_base(from->expr, false, &place->base, &place->offset))
			return true;
		place->from = CPROF_FROM_STORE;
		return keep_expr(rules, from->expr, &place->offset);
	case CPROF_CFI_IS_EXPR:
		place->from = CPROF_IS_BASE;
		if (is_base(from->expr, false, &place->base, &place->offset))
			return true;
		place->from = CPROF_IS_EXPR;
		return keep_expr(rules, from->expr, &place->offset);
	default:
		place->from = CPROF_IS_LOST;
		return true;
	}
}

static bool compact(struct cprof_unwind_rules *rules, const struct cprof_cfi_row *row,
		    struct cprof_unwind_rule *rule)
{
	memset(rule, 0, sizeof(*rule)); /* padding too: rules are compared as bytes */
	if (!compact_cfa(rules, &row->cfa, rule))
		return false;
	const struct cprof_cfi_rule *ra = &row->regs[row->ra_column];
	rule->signal = row->signal;
	rule->root = ra->how == CPROF_CFI_UNDEFINED;
	rule->ra_stays = ra->how == CPROF_CFI_SAME;
	rule->ra = (struct cprof_unwind_place){ .reg = row->ra_column };
	if (rule->ra_stays && !rules->arch->ra_in_register)
		return false;
	if (!rule->root && !rule->ra_stays && !compact_place(rules, row->ra_column, ra, &rule->ra))
		return false;
	for (uint8_t reg = 0; reg < rules->arch->n_regs; reg++) {
		if (row->regs[reg].how == CPROF_CFI_SAME || reg == row->ra_column)
			continue;
		if (!compact_place(rules, reg, &row->regs[reg], &rule->places[rule->n_places++]))
			return false;
	}
	return true;
}

/* ---- the cache ---- */

/* The index of a rule like `rule`, kept if it is new; NO_RULE if there is no room. */
static uint32_t intern(struct cprof_unwind_rules *rules, const struct cprof_unwind_rule *rule)
{
	uint64_t hash = cprof_hash_bytes(rule, sizeof(*rule));
	uint64_t *known = cprof_map64_get(&rules->by_content, hash);
	if (known && memcmp(&rules->rules[*known], rule, sizeof(*rule)) == 0)
		return (uint32_t)*known;
	uint64_t *place = known ? known : cprof_map64_put(&rules->by_content, hash, NULL);
	if (!place)
		return NO_RULE;
	*place = rules->n_rules;
	rules->rules[rules->n_rules] = *rule;
	return (uint32_t)rules->n_rules++;
}

/* From call frame information. */
static bool learn_cfi(struct cprof_unwind_rules *rules, const struct cprof_unwind_where *where,
		      uint32_t *steps, struct cprof_unwind_rule *rule)
{
	struct cprof_cfi *cfi;
	struct cprof_cfi_fde fde;
	struct cprof_cfi_row row;
	uint64_t file_addr;
	if (!cprof_module_file_addr(where->module, where->map, cprof_code_addr_lookup(where->code),
				    &file_addr))
		return false;
	struct cprof_error *err = cprof_cfi_get(where->module, &cfi);
	if (err) {
		cprof_error_free(err);
		return false;
	}
	return cprof_cfi_find(cfi, file_addr, &fde) &&
	       cprof_cfi_run(&fde, file_addr, steps, &row) && compact(rules, &row, rule);
}

/* The number of a switch's expression; false if there are too many. */
static bool keep_switch(struct cprof_unwind_rules *rules, const struct cprof_unwind_switch *found,
			int32_t *ret_number)
{
	size_t i = 0;
	while (i < rules->n_switches && memcmp(&rules->switches[i], found, sizeof(*found)) != 0)
		i++;
	if (i == CPROF_SWITCHES_MAX)
		return false;
	if (i == rules->n_switches) {
		rules->switches[i] = *found;
		const struct cprof_cfi_expr expr = { rules->switches[i].expr, found->n };
		if (!keep_expr(rules, expr, &rules->switch_exprs[i]))
			return false;
		rules->n_switches++;
	}
	*ret_number = rules->switch_exprs[i];
	return true;
}

/* From code that went to another stack; before its unwind information, which is of the stack that it left. */
static bool learn_switch(struct cprof_unwind_rules *rules, const struct cprof_unwind_where *where,
			 struct cprof_unwind_rule *rule)
{
	struct cprof_unwind_switch found;
	return where->code.is_return &&
	       cprof_unwind_switch_rule(rules->arch, where->bytes, where->code.addr, &found,
					rule) &&
	       keep_switch(rules, &found, &rule->offset);
}

static uint32_t learn(struct cprof_unwind_rules *rules, const struct cprof_unwind_where *where,
		      uint32_t *steps)
{
	struct cprof_unwind_rule rule;
	if (rules->n_rules == RULES_MAX || rules->n_exprs + CPROF_ARCH_MAX_REGS + 1 > EXPRS_MAX)
		flush(rules);
	if (!where->by_code && cprof_unwind_java_rule(rules->arch, where->java, where->memory,
						      where->bytes, where->code, &rule))
		return intern(rules, &rule);
	if (!where->by_code && where->code.is_return &&
	    cprof_unwind_switch_is_root(rules->arch, where->bytes, where->code.addr)) {
		memset(&rule, 0, sizeof(rule)); /* padding too */
		rule.root = true;
		return intern(rules, &rule);
	}
	if (!where->by_code && where->code.is_return &&
	    cprof_unwind_switch_kept_rule(rules->arch, where->bytes, where->code.addr, &rule))
		return intern(rules, &rule);
	if (!where->by_code &&
	    (learn_switch(rules, where, &rule) || learn_cfi(rules, where, steps, &rule)))
		return intern(rules, &rule);
	if (*steps < CODE_STEPS) {
		*steps = 0;
		return NO_RULE;
	}
	*steps -= CODE_STEPS;
	if (cprof_unwind_code_sigreturn(rules->arch, where->bytes, where->code.addr, &rule) ||
	    cprof_unwind_code_rule(rules->arch, where->bytes, where->code.addr, where->java != NULL,
				   &rule))
		return intern(rules, &rule);
	return NO_RULE;
}

static bool is_after_call(const struct cprof_unwind_rules *rules,
			  const struct cprof_unwind_where *where)
{
	uint8_t before[CPROF_ARCH_CALL_MAX];
	uint64_t end = cprof_code_addr_lookup(where->code) + 1, left = end - where->map->start;
	size_t n = left < sizeof(before) ? (size_t)left : sizeof(before);
	return where->bytes->read(where->bytes->ctx, end - n, before, n) &&
	       rules->arch->ends_in_call(before, n);
}

static struct cprof_unwind_slot *slot_of(struct cprof_unwind_rules *rules, uint64_t offset,
					 uint32_t owner)
{
	uint64_t hash = (offset ^ (uint64_t)owner << 40) * 0x9e3779b97f4a7c15ull;
	return &rules->slots[hash >> (64 - SLOTS_BITS)];
}

const struct cprof_unwind_rule *cprof_unwind_rules_get(struct cprof_unwind_rules *rules,
						       const struct cprof_unwind_where *where,
						       bool *ret_after_call, uint32_t *steps)
{
	uint64_t offset = cprof_code_addr_lookup(where->code);
	uint32_t owner = (uint32_t)where->pid | 0x80000000u;
	if (where->module->kind == CPROF_MODULE_ANONYMOUS) {
		offset ^= (uint64_t)rules->epoch << EPOCH_SHIFT;
	} else {
		offset += where->map->offset - where->map->start;
		owner = where->module->id + 1;
	}
	if (where->by_code)
		owner ^= BY_CODE;
	struct cprof_unwind_slot *slot = slot_of(rules, offset, owner);
	if (slot->offset == offset && slot->owner == owner) {
		rules->hits++;
	} else {
		rules->misses++;
		uint32_t rule = learn(rules, where, steps);
		*slot = (struct cprof_unwind_slot){ offset, owner, rule };
		if (is_after_call(rules, where))
			slot->rule |= AFTER_CALL;
		/* Out of steps is no property of the address: do not remember it. */
		if (rule == NO_RULE && *steps == 0)
			slot->owner = 0;
	}
	*ret_after_call = (slot->rule & AFTER_CALL) != 0;
	uint32_t rule = slot->rule & ~AFTER_CALL;
	return rule == NO_RULE ? NULL : &rules->rules[rule];
}
