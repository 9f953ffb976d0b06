/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/inject/heap_lasting.h - memory of the target that the shim may read at any time: a Go program's heap.
 *
 * There lie goroutines and their stacks, of which the shim copies a part where C code that a goroutine has called allocates. It may
 * read only what is mapped at that very moment. Go's heap grows and never gives back addresses, only pages (madvise(2)), so what
 * is mapped of it stays so. Where it is, is learnt from goroutines: what a thread runs now, and what is on stacks that were copied.
 *
 * Source of truth: the Go distribution, src/runtime/mem.go (the states of memory; sysFree is for what was never used),
 * runtime2.go (type g begins with its stack's bounds; g.m, m.g0, m.gsignal), proc.go (needm: g0 of threads that C has made).
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_HEAP_LASTING_H
#define CPROF_ATTACH_HEAP_INJECT_HEAP_LASTING_H

#include "attach/heap/shim/shim_proto.h"
#include "attach/target/ptrace.h"
#include "cprof/maps.h"
#include "symbolize/unwind/switch_sites.h"

struct cprof_heap_lasting {
	struct cprof_switch_sites switches;
	struct cprof_shim_range ranges[CPROF_SHIM_LASTING]; /* what the shim has been told */
	uint64_t looked_mono_ns;                            /* at the map of memory, last */
};

/* The switches, into the head of a code mapping. */
void cprof_heap_lasting_enter(const struct cprof_heap_lasting *lasting,
			      struct cprof_shim_image *image);

/* From what the threads of the stopped process run; `maps` must be fresh. The shim is told by who writes the control. */
void cprof_heap_lasting_begin(struct cprof_heap_lasting *lasting, const struct cprof_maps *maps,
			      const struct cprof_ptrace *trace);

/*
 * `stack` of a sample, which holds cprof_shim_copied() bytes: is the stack that it came from missing there because it was not
 * known to last? Then true, and lasting->ranges are to be told to the shim. Reads the map of memory anew, once a second at
 * most; does not stop the target.
 */
bool cprof_heap_lasting_learn(struct cprof_heap_lasting *lasting, struct cprof_maps *maps,
			      const struct cprof_shim_cell *cell, const uint8_t *stack);

#endif
