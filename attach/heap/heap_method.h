/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/heap_method.h - what -heap-method can be: a row for each, which says by which means functions are watched.
 *
 * What the means are and how they are used together is heap_sources.h's.
 */
#ifndef CPROF_ATTACH_HEAP_HEAP_METHOD_H
#define CPROF_ATTACH_HEAP_HEAP_METHOD_H

#include <stdbool.h>
#include <stddef.h>

#include "cprof/error.h"

struct cprof_heap_method {
	const char *name;
	bool injects; /* functions get jumps */
	bool uprobes; /* uprobes watch what does not: all, or the objects that cannot be patched as a whole */
	bool usdt; /* where the program has probes of its own these are used, and nothing else; it is all where the two above are false */
	size_t uprobe_way; /* the first way of attaching uprobes that is tried (heap_uprobe_link.h) */
};

/* USAGE names the methods there are. */
struct cprof_error *cprof_heap_method_find(const char *name,
					   const struct cprof_heap_method **ret_method);

#endif
