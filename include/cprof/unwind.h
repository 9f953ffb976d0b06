/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cprof/unwind.h - walk one stack: registers and stack bytes in, frames and a stop reason out.
 *
 * Needs no process: mappings come from cprof/maps.h, memory through callbacks, rules from the modules' own
 * unwind information, through a cache of rules by address that all processes of a session share.
 * docs/unwinding.md describes the walk; the rules' source is DWARF 5 "Call Frame Information" and the
 * LSB's .eh_frame.
 *
 * Work per walk is bounded by the frames asked for and by a fixed number of expression steps; nothing
 * recurses on input. Not thread-safe: one thread uses an unwinder and its modules.
 */
#ifndef CPROF_UNWIND_H
#define CPROF_UNWIND_H

#include "cprof/arch.h"
#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/maps.h"
#include "cprof/memory.h"
#include "cprof/module.h"
#include "cprof/stack.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cprof_unwinder;

struct cprof_unwind_input {
	const struct cprof_maps *maps;
	const struct cprof_regs *regs;
	const struct cprof_memory
		*stack; /* the moment of the sample: reads only what was copied then */
	const struct cprof_memory
		*live; /* the process as it is now, for what the copy lacks; NULL: none */
	/* The bytes behind `stack`, where they are at hand: spares a call per word. NULL: `stack` alone. */
	const uint8_t *copy;
	uint64_t copy_addr; /* of copy[0] in the target */
	size_t copy_size;
};

/* Counts since the unwinder was made. */
struct cprof_unwind_stats {
	uint64_t walks;
	uint64_t frames;
	uint64_t guessed; /* frames found by CPROF_FRAME_GUESS */
	uint64_t live;    /* frames read from the live process */
	uint64_t stops[CPROF_STOP_N];
	uint64_t cache_hits, cache_misses;
	uint64_t cache_rules, cache_bytes; /* now */
};

/* `modules` is borrowed and must outlive the unwinder. */
struct cprof_error *cprof_unwinder_new(const struct cprof_arch *arch, struct cprof_modules *modules,
				       struct cprof_unwinder **ret_unwinder);
void cprof_unwinder_free(struct cprof_unwinder *unwinder);

/*
 * Fill `stack` from input->regs outwards. Cannot fail: a short stack is a result, and stack->stop says
 * why it is short. Does not stop the target; reads input->live only beyond the end of the copy.
 */
void cprof_unwind(struct cprof_unwinder *unwinder, const struct cprof_unwind_input *input,
		  struct cprof_stack *stack);

void cprof_unwinder_stats(const struct cprof_unwinder *unwinder,
			  struct cprof_unwind_stats *ret_stats);

/*
 * The counts in words, without a newline: `walks` gets how the walks ended, by reason, and what
 * was guessed; `cache` the hit rate and size of the rule cache. Both are appended to.
 */
void cprof_unwind_stats_describe(const struct cprof_unwind_stats *stats, struct cprof_buffer *walks,
				 struct cprof_buffer *cache);

#ifdef __cplusplus
}
#endif

#endif
