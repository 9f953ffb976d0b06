/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/musl_groups.h - the groups and slots of musl's malloc (mallocng, musl 1.2.1 and later).
 *
 * What is allocated together is a group of up to 32 slots of one size, described by a meta, of which a page (an area) has a
 * hundred. Each area begins with a secret that the context has as well: so the context is found among the variables of a
 * program or library, and each area proves that it is one; a group names its meta, and so proves that it is its group. In front
 * of each block it stands which slot it is and how many bytes of it the program did not ask for. A slot may hold a smaller
 * group.
 *
 * Source of truth: musl 1.2.3, src/malloc/mallocng/meta.h. All that is read is hostile.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_MUSL_GROUPS_H
#define CPROF_ATTACH_HEAP_BASELINE_MUSL_GROUPS_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/heap/baseline/baseline_memory.h"
#include "cprof/error.h"

#define CPROF_MUSL_CLASSES 48

struct cprof_musl_context {
	uint64_t secret, areas; /* areas: address of the first one */
};

struct cprof_musl_group {
	uint64_t addr;     /* of the group: 16 bytes in front of its first slot */
	uint64_t bytes;    /* that it takes, with its head */
	uint64_t stride;   /* of its slots */
	unsigned n, class; /* CPROF_MUSL_CLASSES and more: a mapping of its own */
	bool mapped; /* it is a mapping; else part of another group, or of a program's own pages */
	uint32_t in_use; /* a bit for each slot */
};

struct cprof_musl_block {
	uint64_t addr, bytes; /* as the program has it */
	bool is_group;        /* it holds a smaller group, which is at `addr` */
};

/* In variables [start, end); false: not here. */
bool cprof_musl_context_find(struct cprof_baseline_memory *memory, uint64_t start, uint64_t end,
			     struct cprof_musl_context *ret_context);

/* Each group once, and each area. At most a million areas. *ret_broken: metas and areas that are none. An error ends it. */
struct cprof_musl_fns {
	struct cprof_error *(*group)(void *ctx, const struct cprof_musl_group *group);
	struct cprof_error *(*area)(void *ctx, uint64_t start, uint64_t end);
	bool unproved; /* groups as their metas have them: their own memory is not read */
};
struct cprof_error *cprof_musl_groups_each(struct cprof_baseline_memory *memory,
					   const struct cprof_musl_context *context,
					   const struct cprof_musl_fns *fns, void *ctx,
					   uint64_t *ret_broken);

/* The block in slot `i` of the group, which is in use; false: what stands there is none. */
bool cprof_musl_block_read(struct cprof_baseline_memory *memory,
			   const struct cprof_musl_group *group, unsigned i,
			   struct cprof_musl_block *ret_block);

/* Of a slot of class `class` (below CPROF_MUSL_CLASSES). */
uint64_t cprof_musl_stride(unsigned class);

#endif
