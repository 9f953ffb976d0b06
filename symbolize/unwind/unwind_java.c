/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/unwind/unwind_java.h"

#include <elf.h>
#include <string.h>

#include "symbolize/java/frame_edge.h"

enum { RBP = 6, RSP = 7 };

static void put_place(struct cprof_unwind_place *place, uint8_t reg, uint8_t from, uint8_t base,
		      int32_t offset)
{
	place->reg = reg;
	place->from = from;
	place->base = base;
	place->offset = offset;
}

/* A frame of `bytes` at the stack pointer, its return address last; the caller's frame pointer before that one, if it is `saved`. */
static void fixed(const struct cprof_arch *arch, int32_t bytes, bool saved,
		  struct cprof_unwind_rule *rule)
{
	rule->cfa = CPROF_CFA_REG;
	rule->cfa_reg = RSP;
	rule->offset = bytes;
	put_place(&rule->ra, arch->ra, CPROF_FROM_CFA, 0, -8);
	if (saved)
		put_place(&rule->places[rule->n_places++], RBP, CPROF_FROM_CFA, 0, -16);
}

/* {caller's stack pointer, caller's frame pointer, return address} stand around the frame pointer. */
static void interpreted(const struct cprof_arch *arch, struct cprof_unwind_rule *rule)
{
	rule->interpreted = true;
	rule->cfa = CPROF_CFA_DEREF;
	rule->cfa_reg = RBP;
	rule->offset = -8;
	put_place(&rule->ra, arch->ra, CPROF_FROM_BASE, RBP, 8);
	put_place(&rule->places[rule->n_places++], RBP, CPROF_FROM_BASE, RBP, 0);
}

/* What the code around an interrupted instruction says; a return address is never at an edge. */
static enum cprof_frame_edge edge_at(const struct cprof_memory *memory, struct cprof_code_addr at,
				     const struct cprof_code_blob *blob)
{
	uint8_t code[CPROF_EDGE_BEFORE + CPROF_EDGE_AFTER];
	uint64_t pc = at.addr, before = pc - blob->code_start, after = blob->code_end - pc;
	if (at.is_return)
		return CPROF_EDGE_WHOLE;
	size_t here = before < CPROF_EDGE_BEFORE ? (size_t)before : CPROF_EDGE_BEFORE;
	size_t n = here + (after < CPROF_EDGE_AFTER ? (size_t)after : CPROF_EDGE_AFTER);
	if (!memory->read(memory->ctx, pc - here, code, n))
		return CPROF_EDGE_WHOLE;
	return cprof_frame_edge(code, n, here, pc >= blob->complete);
}

static void compiled(const struct cprof_arch *arch, enum cprof_frame_edge edge,
		     const struct cprof_code_blob *blob, struct cprof_unwind_rule *rule)
{
	int32_t bytes = (int32_t)(8 * blob->frame_words);
	switch (edge) {
	case CPROF_EDGE_WHOLE:
		fixed(arch, bytes, true, rule);
		break;
	case CPROF_EDGE_UNSAVED:
		fixed(arch, bytes, false, rule);
		break;
	case CPROF_EDGE_POINTER:
		fixed(arch, 16, true, rule);
		break;
	case CPROF_EDGE_RETURN:
		fixed(arch, 8, false, rule);
		break;
	}
}

/*
 * A virtual thread is resumed with its innermost frames only; what they return to is code that brings the next ones. Behind them on this
 * stack is the frame of what runs virtual threads. Where that code has called the machine, it has a frame of its own.
 */
static bool suspended(const struct cprof_arch *arch, struct cprof_java_vm *vm,
		      const struct cprof_memory *memory, const struct cprof_memory *code,
		      struct cprof_code_addr at, struct cprof_unwind_rule *rule)
{
	uint8_t before[CPROF_ARCH_CALL_MAX];
	if (!at.is_return ||
	    !code->read(code->ctx, at.addr - sizeof(before), before, sizeof(before)) ||
	    arch->ends_in_call(before, sizeof(before)))
		return false;
	uint32_t words = cprof_java_vm_suspended(vm, memory, cprof_code_addr_lookup(at));
	if (words)
		fixed(arch, (int32_t)(8 * words), true, rule);
	return words > 0;
}

bool cprof_unwind_java_rule(const struct cprof_arch *arch, struct cprof_java_vm *vm,
			    const struct cprof_memory *memory, const struct cprof_memory *code,
			    struct cprof_code_addr at, struct cprof_unwind_rule *rule)
{
	const struct cprof_code_blob *blob = NULL;
	if (vm && arch->elf_machine == EM_X86_64)
		blob = cprof_java_vm_code(vm, memory, cprof_code_addr_lookup(at));
	if (!blob)
		return false;
	memset(rule, 0, sizeof(*rule)); /* padding too: rules are compared as bytes */
	rule->doubted = true;
	rule->generated = true;
	switch (blob->kind) {
	case CPROF_CODE_COMPILED:
		compiled(arch, edge_at(code, at, blob), blob, rule);
		return true;
	case CPROF_CODE_INTERPRETER:
		interpreted(arch, rule);
		return true;
	case CPROF_CODE_STUB:
		/* Where it was interrupted it may be making its frame; where it has called into the machine it has it. */
		fixed(arch, (int32_t)(8 * blob->frame_words), true, rule);
		return at.is_return;
	case CPROF_CODE_CONTINUATION:
		return suspended(arch, vm, memory, code, at, rule);
	default:
		return false;
	}
}
