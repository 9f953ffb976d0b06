/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/uprobe/heap_probe.h - where a uprobe goes that sees a function's calls: pure, works on code bytes.
 *
 * The kernel emulates some instructions under a breakpoint (push, nop, jumps) and executes the others out of line by
 * single-stepping, which costs ten times as much (docs/heap.md). So the probe moves on to an instruction of the first
 * kind where nothing that matters changes before it. Where calls end is heap_exits.h's.
 */
#ifndef CPROF_ATTACH_HEAP_UPROBE_HEAP_PROBE_H
#define CPROF_ATTACH_HEAP_UPROBE_HEAP_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "cprof/error.h"
#include "cprof/memory.h"

struct cprof_heap_probe {
	uint64_t
		addr; /* of the probe that sees the call; arguments and stack pointer are as at the entry */
	bool slow; /* the instruction there has to be single-stepped */
};

/* For the function [addr, end). UNSUPPORTED: its first instruction must not have a probe, or cannot be decoded. */
struct cprof_error *cprof_heap_probe_plan(const struct cprof_memory *code, uint64_t addr,
					  uint64_t end, struct cprof_heap_probe *ret_probe);

#endif
