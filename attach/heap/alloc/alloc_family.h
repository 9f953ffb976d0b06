/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/alloc/alloc_family.h - the names of allocator functions and what their arguments mean: a table, no process.
 *
 * A row is a function as the C and C++ standards, glibc, jemalloc, tcmalloc or mimalloc define it; where one is
 * built with a prefix (je_, _rjem_, mi_, tc_, __libc_) the prefix is a row of its own table.
 */
#ifndef CPROF_ATTACH_HEAP_ALLOC_ALLOC_FAMILY_H
#define CPROF_ATTACH_HEAP_ALLOC_ALLOC_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/heap/shim/shim_proto.h"

enum cprof_alloc_group {
	CPROF_ALLOC_C,   /* malloc and its relatives: only where the same object has malloc */
	CPROF_ALLOC_CXX, /* operator new and delete: only where the same object has malloc */
};

struct cprof_alloc_function {
	const char *name; /* without prefix */
	uint8_t kind;     /* CPROF_SHIM_ARG0, ... */
	uint8_t group;
	const char *
		sister; /* of a function that throws: the one that returns NULL instead; else NULL */
	struct cprof_shim_pool pool; /* of the kinds POOL and POOL_REALLOC: which arguments count */
};

/* The row for `symbol`, or NULL. *ret_prefix: index of its prefix, 0 is none. */
const struct cprof_alloc_function *cprof_alloc_function_find(const char *symbol,
							     size_t *ret_prefix);

/* Number of prefixes, the empty one included. */
extern const size_t cprof_alloc_n_prefixes;

/*
 * Does an object that has this symbol have an allocator of a known family, and of no other make? These do not throw, unwind or
 * switch stacks: what else is called malloc may.
 */
bool cprof_alloc_is_known_by(const char *symbol);

/* Is a file of this name an allocator and nothing else? Then every call from inside it is its own. */
bool cprof_alloc_is_library(const char *path);

#endif
