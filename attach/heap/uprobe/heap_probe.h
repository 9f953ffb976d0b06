/*
 * attach/heap/uprobe/heap_probe.h - where in an allocator's function uprobes go: pure, works on code bytes.
 *
 * The kernel emulates some instructions under a breakpoint (push, nop, jumps) and executes the others out of line by
 * single-stepping, which costs ten times as much (docs/heap.md). So the probe moves on to an instruction of the first
 * kind where nothing that matters changes before it.
 *
 * And the ways out: where a function's return address must not be replaced by the kernel's (an exception could not pass
 * it, shadow stacks may not allow it), its return instructions get probes. They are found by following every jump.
 */
#ifndef CPROF_ATTACH_HEAP_UPROBE_HEAP_PROBE_H
#define CPROF_ATTACH_HEAP_UPROBE_HEAP_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"
#include "cprof/memory.h"

#define CPROF_HEAP_PROBE_RETS 32

struct cprof_heap_probe {
	uint64_t
		addr; /* of the probe that sees the call; arguments and stack pointer are as at the entry */
	bool slow; /* the instruction there has to be single-stepped */
	uint64_t rets[CPROF_HEAP_PROBE_RETS];
	size_t n_rets;
};

/*
 * For the function [addr, end). With `ways_out` its return instructions are wanted too: UNSUPPORTED where they cannot
 * all be known (a computed jump, too many). Else an instruction that must not have a probe, or cannot be decoded.
 */
struct cprof_error *cprof_heap_probe_plan(const struct cprof_memory *code, uint64_t addr,
					  uint64_t end, bool ways_out,
					  struct cprof_heap_probe *ret_probe);

#endif
