/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/unwind/unwind_java.h"

#include <elf.h>
#include <string.h>

#include "symbolize/java/frame_edge.h"
#include "symbolize/unwind/unwind_ahead.h"
#include "symbolize/unwind/unwind_code.h"

enum { RDX = 1, RBP = 6, RSP = 7 };

#define PUSH_RDX 0x52

/* A stub that does not say so has made its frame that many bytes behind its start. */
#define STUB_MADE 16u

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

/* The code around an address, within its piece. */
struct around {
	uint8_t bytes[CPROF_EDGE_BEFORE + CPROF_AHEAD_BYTES];
	size_t at, n; /* the address is that of bytes[at] */
};

static bool look_around(const struct cprof_memory *memory, uint64_t pc,
			const struct cprof_code_blob *blob, struct around *around)
{
	uint64_t before = pc - blob->code_start, after = blob->code_end - pc;
	around->at = before < CPROF_EDGE_BEFORE ? (size_t)before : CPROF_EDGE_BEFORE;
	around->n = around->at + (after < CPROF_AHEAD_BYTES ? (size_t)after : CPROF_AHEAD_BYTES);
	return memory->read(memory->ctx, pc - around->at, around->bytes, around->n);
}

/* A return address is never at an edge. */
static void compiled(const struct cprof_arch *arch, const struct around *around,
		     struct cprof_code_addr at, const struct cprof_code_blob *blob,
		     struct cprof_unwind_rule *rule)
{
	int32_t bytes = (int32_t)(8 * blob->frame_words);
	enum cprof_frame_edge edge = CPROF_EDGE_WHOLE;
	if (!at.is_return && around->n)
		edge = cprof_frame_edge(around->bytes, around->n, around->at,
					at.addr >= blob->complete);
	switch (edge) {
	case CPROF_EDGE_WHOLE:
		bytes += cprof_ahead_pushed(around->bytes + around->at, around->n - around->at,
					    bytes);
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

static bool by_ahead(const struct cprof_arch *arch, const struct cprof_ahead *ahead,
		     struct cprof_unwind_rule *rule)
{
	/* The sender's stack pointer may be below an argument that was taken away; it does not matter to the interpreter. */
	rule->cfa = ahead->cfa_reg == RSP ? CPROF_CFA_REG : CPROF_CFA_AHEAD;
	rule->cfa_reg = ahead->cfa_reg;
	rule->offset = ahead->cfa_offset;
	rule->ra = ahead->ra;
	rule->ra.reg = arch->ra;
	if (ahead->has_fp)
		put_place(&rule->places[rule->n_places++], RBP, CPROF_FROM_BASE, RBP, 0);
	return true;
}

/* Where a stub has called into the machine its frame is whole; where it was interrupted it may be making it. */
static bool stub(const struct cprof_arch *arch, const struct cprof_memory *code,
		 struct cprof_code_addr at, const struct cprof_code_blob *blob,
		 struct cprof_unwind_rule *rule)
{
	struct cprof_unwind_rule read;
	uint8_t first;
	uint64_t made =
		blob->complete < blob->code_end ? blob->complete - blob->code_start : STUB_MADE;
	if (!at.is_return && cprof_unwind_code_rule(arch, code, at.addr, true, &read)) {
		*rule = read;
		return true;
	}
	/* What handles an exception is gone to with the return address popped. */
	if (!at.is_return && at.addr == blob->code_start &&
	    code->read(code->ctx, at.addr, &first, 1) && first == PUSH_RDX) {
		const struct cprof_ahead ahead = { .cfa_reg = RSP,
						   .ra = { .from = CPROF_IS_BASE, .base = RDX } };
		return by_ahead(arch, &ahead, rule);
	}
	fixed(arch, (int32_t)(8 * blob->frame_words), true, rule);
	return at.is_return || at.addr - blob->code_start >= made;
}

/* What is in a piece of a kind whose code says more than its size. */
static bool by_code(const struct cprof_arch *arch, const struct cprof_memory *code,
		    struct cprof_code_addr at, const struct cprof_code_blob *blob,
		    struct cprof_unwind_rule *rule)
{
	struct around around;
	struct cprof_ahead ahead;
	if (!look_around(code, at.addr, blob, &around))
		around.at = around.n = 0;
	const uint8_t *next = around.bytes + around.at;
	switch (blob->kind) {
	case CPROF_CODE_COMPILED:
		compiled(arch, &around, at, blob, rule);
		return true;
	case CPROF_CODE_INTERPRETER:
		if (cprof_ahead_interpreter(around.bytes, around.n, around.at, at.is_return,
					    &ahead))
			return by_ahead(arch, &ahead, rule);
		interpreted(arch, rule);
		return true;
	default:
		return cprof_ahead_adapter(next, around.n - around.at, &ahead) &&
		       by_ahead(arch, &ahead, rule);
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
	case CPROF_CODE_INTERPRETER:
	case CPROF_CODE_ADAPTER:
		return by_code(arch, code, at, blob, rule);
	case CPROF_CODE_FRAMELESS:
		fixed(arch, 8, false, rule);
		return true;
	case CPROF_CODE_STUB:
		return stub(arch, code, at, blob, rule);
	case CPROF_CODE_CONTINUATION:
		return suspended(arch, vm, memory, code, at, rule);
	default:
		return false;
	}
}
