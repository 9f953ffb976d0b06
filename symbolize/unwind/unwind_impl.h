/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/unwind/unwind_impl.h - the state of one walk: the inside of unwind.h, for the files that implement it.
 *
 * unwind.c moves from frame to frame by rules, unwind_memory.c reads words and decides which moment they
 * are of, unwind_guess.c finds callers where there are no rules, unwind_java_vm.c the Java machine
 * that made the code of a frame, unwind_stats.c says what came of it.
 */
#ifndef CPROF_SYMBOLIZE_UNWIND_UNWIND_IMPL_H
#define CPROF_SYMBOLIZE_UNWIND_UNWIND_IMPL_H

#include <string.h>

#include "cprof/unwind.h"
#include "symbolize/unwind/unwind_rules.h"

#define CPROF_WALK_LIVE_BYTES 65536
#define CPROF_WALK_ANCHORS    2

/* A word of the stack that a walk went through: where it stood and what it was. */
struct cprof_walk_anchor {
	uint64_t addr, value;
};

struct cprof_unwinder {
	const struct cprof_arch *arch;
	struct cprof_modules *modules;
	struct cprof_unwind_rules rules;
	struct cprof_unwind_stats stats;
	/* Recently used mappings by page of code address; each is checked against the maps before use. */
	uint32_t map_ids[256];
	uint32_t java_hint; /* the mapping that a Java machine was found on last */
	/* The process that had none when it was looked at last, as its mappings were then. */
	struct cprof_walk_no_java {
		const struct cprof_maps *maps; /* compared only: it may be gone */
		uint64_t generation;
		uint32_t epoch;
	} no_java;
	uint8_t *live; /* owned; CPROF_WALK_LIVE_BYTES of the live stack */
};

struct cprof_walk {
	struct cprof_unwinder *unwinder;
	const struct cprof_unwind_input *input;
	struct cprof_stack *stack;
	struct cprof_regs regs;        /* of the frame that is being left */
	struct cprof_frame frame;      /* and its code address */
	struct cprof_module *module;   /* of that address; NULL where there is none */
	bool live;                     /* words come from the live process by now */
	bool mismatch;                 /* the live process does not fit the copy */
	bool failed;                   /* a word of this frame could not be read... */
	uint64_t failed_addr;          /* ...this one */
	const uint8_t *copy;           /* as in input; NULL if it has no whole word */
	uint64_t copy_addr, copy_last; /* the first word's address, and the last word's less that */
	uint64_t live_start;           /* what unwinder->live holds */
	size_t live_size;
	unsigned live_refills;
	uint64_t sample_sp;
	struct cprof_walk_anchor anchors[CPROF_WALK_ANCHORS]; /* the latest return addresses */
	unsigned n_anchors;
	bool left_handler; /* the walk came out of a signal's handler: its anchors are not of this stack */
	uint32_t steps;           /* CFI instructions left for this walk */
	struct cprof_memory code; /* reads through cprof_walk_code() */
	unsigned stack_switches;  /* times the walk went to a lower stack without a signal frame */
};

/* ---- unwind_memory.c ---- */

/* The word at `addr` at the moment this frame is read at; false sets failed and failed_addr. */
bool cprof_walk_slow_word(struct cprof_walk *w, uint64_t addr, uint64_t *ret_value);

/* The same; nearly all words are in the copy. */
static inline bool cprof_walk_word(struct cprof_walk *w, uint64_t addr, uint64_t *ret_value)
{
	uint64_t at = addr - w->copy_addr;
	if (!w->copy || w->live || at > w->copy_last)
		return cprof_walk_slow_word(w, addr, ret_value);
	memcpy(ret_value, w->copy + at, sizeof(*ret_value));
	return true;
}

bool cprof_walk_read(void *walk, uint64_t addr, void *buf, size_t n);

/* Go on in the live process, if there is one and it fits what was copied. False: w->failed tells why. */
bool cprof_walk_go_live(struct cprof_walk *w);

/* Remember that the word at `addr` was the return address to the next frame. */
void cprof_walk_anchor(struct cprof_walk *w, uint64_t addr, uint64_t value);

/* Why a word could not be read. */
enum cprof_stop cprof_walk_why_unreadable(struct cprof_walk *w);

/* `n` bytes of code at `addr`, all in one mapping: from the file, else from the process. */
bool cprof_walk_code(void *walk, uint64_t addr, void *buf, size_t n);

/* ---- unwind_java_vm.c ---- */

/* The Java machine that may have made the code of `module`; NULL: none has. */
struct cprof_java_vm *cprof_walk_java(struct cprof_walk *w, const struct cprof_module *module);

/* The innermost frame stored is the interpreter's: let it stand for the method that it runs. */
void cprof_walk_interpreted(struct cprof_walk *w);

/* ---- unwind.c ---- */

/* The mapping that holds code address `addr`, and its module (NULL for none); NULL if not executable. */
const struct cprof_map *cprof_walk_map(struct cprof_walk *w, uint64_t addr,
				       struct cprof_module **ret_module);

/*
 * The rule for `code` (NULL if there is none); false if it is in no executable mapping. ret_after_call: the
 * code before it ends in a call.
 */
bool cprof_walk_rule(struct cprof_walk *w, struct cprof_code_addr code,
		     const struct cprof_unwind_rule **ret_rule, bool *ret_after_call);

/* ---- unwind_guess.c ---- */

/* What is known of the caller: what differs from the frame being left. */
struct cprof_walk_caller {
	uint64_t pc, sp;
	uint64_t ra_slot; /* where the return address was read; 0: it was in a register */
	bool interrupted; /* it did not call: it was interrupted at exactly its pc */
	bool is_root;     /* there is no caller */
	enum cprof_frame_how how;
	uint64_t lost; /* bit n: register n is not known any more */
	unsigned n_set;
	struct {
		uint64_t value;
		uint8_t reg;
	} set[CPROF_ARCH_MAX_REGS + 1]; /* n_set of them are written */
};

/* Not a struct assignment: clearing `set` would cost as much as the rest of a step. */
static inline void cprof_walk_caller_init(struct cprof_walk_caller *caller,
					  enum cprof_frame_how how)
{
	caller->pc = caller->sp = caller->ra_slot = caller->lost = 0;
	caller->interrupted = caller->is_root = false;
	caller->how = how;
	caller->n_set = 0;
}

static inline void cprof_walk_caller_set(struct cprof_walk_caller *caller, uint8_t reg,
					 uint64_t value)
{
	caller->set[caller->n_set].reg = reg;
	caller->set[caller->n_set++].value = value;
}

/* Can a guessed caller be one: does its return address follow a call, or end a signal handler? */
bool cprof_walk_holds(struct cprof_walk *w, const struct cprof_walk_caller *caller);

/*
 * x86-64: does the instruction before the caller's return address call the function that the walk is in? What has gone to another
 * stack finds its way back by what it has kept, and where that is read late there may be somebody else's stack by now.
 */
bool cprof_walk_called_this(struct cprof_walk *w, const struct cprof_walk_caller *caller);

/* Find the caller of w->frame without unwind information; false if nothing held. */
bool cprof_walk_guess(struct cprof_walk *w, struct cprof_walk_caller *ret_caller);

#endif
