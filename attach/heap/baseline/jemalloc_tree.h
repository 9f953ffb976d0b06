/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/jemalloc_tree.h - the extents of jemalloc 5.0 to 5.3, by the tree in which it finds the extent of an address.
 *
 * The root is a variable of jemalloc; the leaves have an entry for each page, which leads to the descriptor of the extent that has
 * it (jemalloc_form.h). A descriptor says itself where its extent is, so the tree is found by its form and proves itself: a word in
 * the variables that leads down to a leaf, an entry there to a descriptor, and that to the page the entry stands for, in the
 * place of the root that belongs to it. What is read is hostile; nothing is assumed of it but what is checked.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_JEMALLOC_TREE_H
#define CPROF_ATTACH_HEAP_BASELINE_JEMALLOC_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/heap/baseline/baseline_memory.h"
#include "attach/heap/baseline/jemalloc_form.h"
#include "cprof/error.h"

#define CPROF_JEMALLOC_ROOT_LEAST ((uint64_t)8 << 15) /* bytes: variables that have a root */

struct cprof_jemalloc_tree {
	uint64_t root;
	const struct cprof_jemalloc_form *form;
};

/* The tree whose root is within [start, end), which are variables; false: not here. */
bool cprof_jemalloc_tree_find(struct cprof_baseline_memory *memory, uint64_t start, uint64_t end,
			      struct cprof_jemalloc_tree *ret_tree);

/* The extent that has the page of `addr`, as the tree says; false: none, or it cannot be read. */
bool cprof_jemalloc_tree_at(struct cprof_baseline_memory *memory,
			    const struct cprof_jemalloc_tree *tree, uint64_t addr,
			    struct cprof_jemalloc_extent *ret_extent);

/*
 * All extents, by address. `fn` gets each once; an error of it ends the walk and is passed on. *ret_broken: how many
 * entries led to nothing that can be (also what changed meanwhile). At most 16 Mi extents, and 4,096 leaves and what is above them.
 */
typedef struct cprof_error *cprof_jemalloc_extent_fn(void *ctx,
						     const struct cprof_jemalloc_extent *extent);
struct cprof_error *cprof_jemalloc_tree_each(struct cprof_baseline_memory *memory,
					     const struct cprof_jemalloc_tree *tree,
					     cprof_jemalloc_extent_fn *fn, void *ctx,
					     uint64_t *ret_broken);

#endif
