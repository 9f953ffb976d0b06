/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/alloc/pool_spec.h - what a user says about an allocator of their own (-heap-hook): the text taken apart, no process.
 *
 *   alloc=PLACE,size=SIZE[,old=argN][,free=PLACE[,ptr=argN]]
 *   free=PLACE[,ptr=argN]
 *
 *   PLACE  NAME, NAME@OBJECT or 0xADDRESS; free=none: blocks are never freed one by one
 *   SIZE   argN, argN*argN, argN*BYTES or BYTES; argN:32 where the argument is an int
 *
 * Where a place is in a process is pool_find.h's.
 */
#ifndef CPROF_ATTACH_HEAP_ALLOC_POOL_SPEC_H
#define CPROF_ATTACH_HEAP_ALLOC_POOL_SPEC_H

#include <stdint.h>

#include "attach/heap/shim/shim_proto.h"
#include "base/options.h"
#include "cprof/error.h"

struct cprof_pool_place {
	const char *name;   /* of a symbol; NULL: there is no such place, or `addr` it is */
	const char *object; /* of the file it must be in; NULL: any */
	uint64_t addr;      /* run-time; 0: `name` it is */
};

struct cprof_pool_spec {
	const char *text;                    /* borrowed; as the user gave it */
	char *copy;                          /* owned; what the places' strings are in */
	struct cprof_pool_place alloc, free; /* at least one of them is given */
	struct cprof_shim_pool
		alloc_args; /* with an old block it is a realloc; untracked for free=none */
	struct cprof_shim_operand free_arg;
};

static inline bool cprof_pool_place_given(const struct cprof_pool_place *place)
{
	return place->name || place->addr;
}

/* USAGE says what is wrong with `text`, which is borrowed. */
struct cprof_error *cprof_pool_spec_parse(const char *text, struct cprof_pool_spec *ret_spec);
void cprof_pool_spec_deinit(struct cprof_pool_spec *spec);

struct cprof_pool_specs {
	struct cprof_pool_spec *all; /* owned */
	size_t n;
};

/* The same for each of `texts`. */
struct cprof_error *cprof_pool_specs_parse(const struct cprof_strings *texts,
					   struct cprof_pool_specs *ret_specs);
void cprof_pool_specs_deinit(struct cprof_pool_specs *specs);

#endif
