/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/uprobe/heap_exits.h - all the places at which a call of a function of the target may end.
 *
 * At each the stack pointer is what it was at the entry, and the return address is on top: return instructions, the
 * function's own, those of parts that the compiler laid elsewhere, and those of functions it goes on in by a jump, in other
 * objects as well (attach/heap/code/code_flow.h follows one object's). Where a jump leads through a word that the dynamic linker
 * fills, what it filled in is read from the process; where it has not done so yet, all functions of that name are taken.
 *
 * Does not stop the target.
 */
#ifndef CPROF_ATTACH_HEAP_UPROBE_HEAP_EXITS_H
#define CPROF_ATTACH_HEAP_UPROBE_HEAP_EXITS_H

#include <stddef.h>
#include <stdint.h>

#include "attach/heap/code/code_object.h"
#include "cprof/error.h"
#include "cprof/maps.h"
#include "cprof/module.h"

#define CPROF_HEAP_EXITS_MAX 256

enum cprof_heap_exit_kind {
	CPROF_HEAP_EXIT_RET,   /* a return: the result is in rax */
	CPROF_HEAP_EXIT_FIRST, /* a jump to what returns its first argument, as memset does */
	CPROF_HEAP_EXIT_NONE,  /* a jump to what frees: there is no result */
};

struct cprof_heap_exits {
	struct cprof_heap_exit {
		uint64_t addr; /* run-time */
		enum cprof_heap_exit_kind kind;
	} all[CPROF_HEAP_EXITS_MAX]; /* each address once */
	size_t n;
};

/* Where functions are looked at; all borrowed. */
struct cprof_heap_exits_process {
	struct cprof_maps *maps; /* fresh, with the process's memory */
	struct cprof_modules *modules;
	struct cprof_code_objects *objects;
};

/*
 * Of the function at run-time `addr`. Errors: UNSUPPORTED says why they are not all known, NO_MEMORY.
 */
struct cprof_error *cprof_heap_exits_find(const struct cprof_heap_exits_process *process,
					  uint64_t addr, struct cprof_heap_exits *ret_exits);

#endif
