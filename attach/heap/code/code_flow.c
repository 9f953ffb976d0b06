/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/code/code_flow.h"

#include <stdlib.h>

#include "attach/heap/code/code_known.h"
#include "attach/heap/code/code_stack.h"
#include "attach/heap/code/code_steps.h"
#include "attach/heap/code/code_table.h"
#include "base/array.h"
#include "cprof/hash.h"

#define INSTRUCTIONS_MAX 65536u
#define CALLS_MAX        2048u
/* Instructions gone over and entries of tables looked at, all visits counted. */
#define STEPS_MAX 400000u
/* How often what is known at a place may become less: then it is as good as nothing. */
#define VISITS_MAX 12u
/* Padding between two parts of a function that nothing describes. */
#define GAP_MAX 32u

/* A place that was come to. */
struct place {
	uint64_t addr;
	struct cprof_code_stack stack;
	uint32_t visits;
	uint8_t length; /* of the instruction there; 0: not gone over yet */
	bool waiting;
};

struct walk {
	struct cprof_code_object *object;
	struct cprof_code_flow *flow;
	struct cprof_map64 known; /* address -> index of its place + 1 */
	struct place *places;     /* owned */
	size_t n_places, cap_places;
	size_t *waiting; /* owned; indices of places to go on from */
	size_t n_waiting, cap_waiting;
	struct cprof_code_past past;
	ZydisDecoder decoder;
	size_t steps;
	bool described; /* it is known where the function ends */
	struct cprof_error *err;
};

/* ---- what is found ---- */

static void lose(struct walk *walk, const char *why, uint64_t addr)
{
	if (walk->flow->lost)
		return;
	walk->flow->lost = why;
	walk->flow->lost_at = addr;
}

static void trick(struct walk *walk, const char *what, uint64_t addr)
{
	if (!what || walk->flow->stack_trick)
		return;
	walk->flow->stack_trick = what;
	walk->flow->stack_trick_at = addr;
}

static void add_call(struct walk *walk, uint64_t from, uint64_t to, const char *name)
{
	struct cprof_code_flow *flow = walk->flow;
	for (size_t i = 0; i < flow->n_calls; i++) {
		if (flow->calls[i].from == from)
			return;
	}
	if (flow->n_calls == CALLS_MAX)
		lose(walk, "it is too large", from);
	else if (CPROF_ARRAY_ROOM(flow->calls, flow->n_calls, flow->cap_calls, 1))
		flow->calls[flow->n_calls++] = (struct cprof_code_call){ from, to, name };
	else
		walk->err = cprof_error_no_memory();
}

static void add_exit(struct walk *walk, const struct cprof_code_insn *at,
		     const struct cprof_code_stack *stack, enum cprof_code_exit_kind kind,
		     const char *name)
{
	struct cprof_code_flow *flow = walk->flow;
	if (!cprof_code_stack_is_level(stack))
		trick(walk, "the stack pointer is not where it was when it began, where it returns",
		      at->addr);
	for (size_t i = 0; i < flow->n_exits; i++) {
		if (flow->exits[i].addr == at->addr)
			return;
	}
	if (flow->n_exits == CALLS_MAX) {
		lose(walk, "it is too large", at->addr);
		return;
	}
	if (!CPROF_ARRAY_ROOM(flow->exits, flow->n_exits, flow->cap_exits, 1)) {
		walk->err = cprof_error_no_memory();
		return;
	}
	flow->exits[flow->n_exits++] = (struct cprof_code_exit){
		.kind = kind,
		.addr = at->addr,
		.name = name,
		.elsewhere = at->addr < flow->start || at->addr >= flow->end,
	};
}

/* ---- where it goes on ---- */

static struct place *place_at(struct walk *walk, uint64_t addr, bool *ret_new)
{
	uint64_t *index = cprof_map64_put(&walk->known, addr, ret_new);
	if (!index ||
	    (*ret_new && !CPROF_ARRAY_ROOM(walk->places, walk->n_places, walk->cap_places, 1))) {
		walk->err = cprof_error_no_memory();
		return NULL;
	}
	if (*ret_new) {
		walk->places[walk->n_places++] = (struct place){ .addr = addr };
		*index = walk->n_places;
	}
	return &walk->places[*index - 1];
}

/* Come to `addr` with what `stack` says. True: it has to be gone over, again perhaps. */
static bool come_to(struct walk *walk, uint64_t addr, const struct cprof_code_stack *stack,
		    struct place **ret_place)
{
	bool new;
	struct place *place = place_at(walk, addr, &new);
	*ret_place = place;
	if (!place)
		return false;
	if (new) {
		place->stack = *stack;
		if (walk->n_places <= INSTRUCTIONS_MAX)
			return true;
		lose(walk, "it is too large", addr);
		return false;
	}
	if (!cprof_code_stack_join(&place->stack, stack))
		return false;
	if (++place->visits <= VISITS_MAX)
		return true;
	trick(walk, "it moves the stack pointer in a loop", addr);
	return false;
}

/* Later. */
static void branch_to(struct walk *walk, uint64_t addr, const struct cprof_code_stack *stack)
{
	struct place *place;
	if (!come_to(walk, addr, stack, &place) || place->waiting)
		return;
	if (!CPROF_ARRAY_ROOM(walk->waiting, walk->n_waiting, walk->cap_waiting, 1)) {
		walk->err = cprof_error_no_memory();
		return;
	}
	place->waiting = true;
	walk->waiting[walk->n_waiting++] = (size_t)(place - walk->places);
}

/* ---- branches ---- */

static uint64_t target_of(const struct cprof_code_insn *at)
{
	return at->addr + at->insn.length + (uint64_t)at->insn.raw.imm[0].value.s;
}

/* The name of what a slot holds; an IFUNC is called as its resolver is. */
static const char *name_of(struct walk *walk, const struct cprof_code_slot *slot)
{
	const struct cprof_symbols *symbols;
	if (slot->name || !slot->addr)
		return slot->name;
	struct cprof_error *err = cprof_code_object_symbols(walk->object, &symbols);
	if (err) {
		walk->err = err;
		return NULL;
	}
	const struct cprof_symbol *symbol = cprof_symbols_find(symbols, slot->addr);
	return symbol && symbol->start == slot->addr ? symbol->name : NULL;
}

/* The slot that `call *place(%rip)` or `jmp *place(%rip)` goes through, or NULL. */
static const struct cprof_code_slot *slot_of(const struct walk *walk,
					     const struct cprof_code_insn *at)
{
	const ZydisDecodedOperand *to = &at->operands[0];
	if (to->type != ZYDIS_OPERAND_TYPE_MEMORY || to->mem.index != ZYDIS_REGISTER_NONE)
		return NULL;
	if (to->mem.base == ZYDIS_REGISTER_RIP)
		return cprof_code_object_slot(walk->object, at->addr + at->insn.length +
								    (uint64_t)to->mem.disp.value);
	return to->mem.base == ZYDIS_REGISTER_NONE && to->mem.segment == ZYDIS_REGISTER_DS
		       ? cprof_code_object_slot(walk->object, (uint64_t)to->mem.disp.value)
		       : NULL;
}

/* False: it never comes back. */
static bool call(struct walk *walk, const struct cprof_code_insn *at,
		 struct cprof_code_stack *stack)
{
	const bool direct = at->insn.raw.imm[0].is_relative;
	const uint64_t to = direct ? target_of(at) : 0;
	const struct cprof_code_slot *slot =
		direct ? cprof_code_object_plt(walk->object, to) : slot_of(walk, at);
	if (direct && to == at->addr + at->insn.length) {
		/* A push of the instruction pointer. */
		stack->depth += 8;
		return true;
	}
	const char *name = slot ? name_of(walk, slot) : NULL;
	add_call(walk, at->addr, slot ? 0 : to, name);
	if (slot || !direct)
		return !(name && cprof_code_known_ends(name));
	return !cprof_code_steps_end(walk->object, &walk->decoder, to);
}

static void jump_through_table(struct walk *walk, const struct cprof_code_insn *at,
			       const struct cprof_code_stack *stack)
{
	struct cprof_code_table table;
	if (!cprof_code_table_find(walk->object, &walk->past, &table)) {
		lose(walk, "it has an indirect jump", at->addr);
		add_call(walk, at->addr, 0, NULL);
		return;
	}
	for (uint32_t i = 0; i < table.n; i++) {
		uint64_t to;
		walk->steps++;
		if (cprof_code_table_entry(walk->object, &table, i, &to)) {
			branch_to(walk, to, stack);
		} else {
			lose(walk, "it has a table of jumps that leads nowhere", at->addr);
			return;
		}
	}
}

static void jump(struct walk *walk, const struct cprof_code_insn *at,
		 const struct cprof_code_stack *stack)
{
	const bool direct = at->insn.raw.imm[0].is_relative;
	const struct cprof_code_slot *slot =
		direct ? cprof_code_object_plt(walk->object, target_of(at)) : slot_of(walk, at);
	if (slot) {
		const char *name = name_of(walk, slot);
		add_exit(walk, at, stack, CPROF_CODE_EXIT_JUMP, name);
		add_call(walk, at->addr, 0, name);
	} else if (direct) {
		branch_to(walk, target_of(at), stack);
	} else {
		jump_through_table(walk, at, stack);
	}
}

/* ---- the instructions behind one another ---- */

/* Falls from a function into what follows it: behind a call that nobody expected back. */
static bool runs_out(const struct walk *walk, uint64_t addr, uint64_t next)
{
	uint64_t start = walk->flow->start, end = walk->flow->end;
	if (addr >= start && addr < end)
		return next >= end;
	return cprof_code_object_function(walk->object, addr, &start, &end) && next >= end;
}

/* Go over one instruction. False: nothing comes behind it. */
static bool step(struct walk *walk, struct cprof_code_insn *at, struct cprof_code_stack *stack)
{
	const struct cprof_code_stack before = *stack;
	const struct cprof_code_stack_effect effect =
		cprof_code_stack_step(stack, &at->insn, at->operands);
	trick(walk, effect.trick, at->addr);
	walk->flow->reads_stack_arguments |= effect.reads_arguments;
	walk->flow->reads_scratch |= effect.reads != 0;
	switch (at->insn.meta.category) {
	case ZYDIS_CATEGORY_RET:
		add_exit(walk, at, &before, CPROF_CODE_EXIT_RET, NULL);
		return false;
	case ZYDIS_CATEGORY_UNCOND_BR:
		jump(walk, at, stack);
		return false;
	case ZYDIS_CATEGORY_CALL:
		return call(walk, at, stack) &&
		       !runs_out(walk, at->addr, at->addr + at->insn.length);
	default:
		break;
	}
	if (at->insn.mnemonic == ZYDIS_MNEMONIC_UD2 || at->insn.mnemonic == ZYDIS_MNEMONIC_HLT ||
	    at->insn.mnemonic == ZYDIS_MNEMONIC_INT3)
		return false;
	if (at->insn.raw.imm[0].is_relative)
		branch_to(walk, target_of(at), stack);
	return true;
}

static void go_on_from(struct walk *walk, size_t index)
{
	struct cprof_code_stack stack = walk->places[index].stack;
	uint64_t addr = walk->places[index].addr;
	struct place *place;
	walk->places[index].waiting = false;
	walk->past.n = 0;
	while (!walk->err && walk->steps++ < STEPS_MAX) {
		struct cprof_code_insn *at =
			&walk->past.last[walk->past.n % CPROF_CODE_TABLE_MEMORY];
		if (!cprof_code_steps_decode(walk->object, &walk->decoder, addr, at)) {
			lose(walk, "it has instructions that cannot be decoded", addr);
			return;
		}
		walk->past.n++;
		walk->places[*cprof_map64_get(&walk->known, addr) - 1].length = at->insn.length;
		if (!step(walk, at, &stack))
			return;
		addr += at->insn.length;
		if (!come_to(walk, addr, &stack, &place))
			return;
		stack = place->stack;
	}
}

/* ---- all of it ---- */

static int by_address(const void *a_, const void *b_)
{
	const struct cprof_code_exit *a = a_, *b = b_;
	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

static int by_number(const void *a_, const void *b_)
{
	const uint64_t *a = a_, *b = b_;
	return *a < *b ? -1 : *a > *b;
}

static int by_place(const void *a_, const void *b_)
{
	const struct place *a = a_, *b = b_;
	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

/* Where nothing tells, the function reaches as far as it was followed without a leap. */
static void find_end(struct walk *walk)
{
	struct cprof_code_flow *flow = walk->flow;
	qsort(walk->places, walk->n_places, sizeof(*walk->places), by_place);
	for (size_t i = 0; i < walk->n_places; i++) {
		const struct place *place = &walk->places[i];
		if (place->addr >= flow->start && place->addr < flow->end + GAP_MAX)
			flow->end = place->addr + place->length;
	}
	for (size_t i = 0; i < flow->n_exits; i++)
		flow->exits[i].elsewhere =
			flow->exits[i].addr < flow->start || flow->exits[i].addr >= flow->end;
}

/* What was gone over must be instructions as they stand behind one another, not something in their middle. */
static struct cprof_error *check_steps(struct walk *walk)
{
	uint64_t *addrs = malloc((walk->n_places + 1) * sizeof(*addrs)), bad;
	if (!addrs)
		return cprof_error_no_memory();
	size_t n = 0;
	for (size_t i = 0; i < walk->n_places; i++) {
		if (walk->places[i].length)
			addrs[n++] = walk->places[i].addr;
	}
	qsort(addrs, n, sizeof(*addrs), by_number);
	const char *why =
		cprof_code_steps_check(walk->object, addrs, n, &bad, &walk->flow->overlaps);
	if (why)
		lose(walk, why, bad);
	free(addrs);
	return NULL;
}

static struct cprof_error *follow(struct walk *walk)
{
	branch_to(walk, walk->flow->start, &cprof_code_stack_entry);
	while (!walk->err && walk->n_waiting && walk->steps < STEPS_MAX)
		go_on_from(walk, walk->waiting[--walk->n_waiting]);
	walk->flow->followed = !walk->flow->lost;
	if (walk->steps >= STEPS_MAX)
		lose(walk, "it is too large", walk->flow->start);
	struct cprof_error *err = walk->err ? walk->err : check_steps(walk);
	if (!err && !walk->described)
		find_end(walk);
	/* Where the ways are not known, neither is what is read on them. */
	walk->flow->reads_stack_arguments |= walk->flow->lost != NULL;
	walk->flow->reads_scratch |= walk->flow->lost != NULL;
	return err;
}

struct cprof_error *cprof_code_flow_find(struct cprof_code_object *object, uint64_t start,
					 struct cprof_code_flow *ret_flow)
{
	struct cprof_code_flow flow = { .start = start };
	uint64_t around;
	if (!cprof_code_object_bytes(object, start, 1))
		return cprof_error_new(CPROF_ERR_UNSUPPORTED, "there is no code at 0x%llx",
				       (unsigned long long)start);
	struct walk walk = { .object = object, .flow = &flow };
	walk.described = cprof_code_object_function(object, start, &around, &flow.end);
	if (!walk.described)
		flow.end = start;
	ZydisDecoderInit(&walk.decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	struct cprof_error *err = follow(&walk);
	cprof_map64_deinit(&walk.known);
	free(walk.places);
	free(walk.waiting);
	if (err) {
		cprof_code_flow_deinit(&flow);
		return err;
	}
	if (flow.n_exits)
		qsort(flow.exits, flow.n_exits, sizeof(*flow.exits), by_address);
	*ret_flow = flow;
	return NULL;
}

void cprof_code_flow_deinit(struct cprof_code_flow *flow)
{
	free(flow->exits);
	free(flow->calls);
	*flow = (struct cprof_code_flow){ 0 };
}
