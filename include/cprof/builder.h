/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cprof/builder.h - from samples, one by one, to a profile: equal stacks become one sample.
 *
 * Memory is bounded by distinct stacks, locations and label sets, never by how long it runs. Knows
 * nothing of processes: a frame is an address and the number of a mapping that the caller has
 * registered. Names are asked for once per distinct location, at the end (cprof_builder_finish).
 *
 * Everything is numbered in the order of first appearance, so equal input gives an equal profile.
 */
#ifndef CPROF_BUILDER_H
#define CPROF_BUILDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"
#include "cprof/profile.h"
#include "cprof/stack_table.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cprof_builder;

struct cprof_builder_type {
	const char *type; /* "cpu" */
	const char *unit; /* "nanoseconds" */
};

struct cprof_builder_label {
	const char *key;
	const char *str; /* text label; or NULL, and then: */
	int64_t num;
	const char *unit; /* NULL for none; a number 0 needs one to survive in the format */
};

struct cprof_builder_mapping {
	uint64_t start, limit, offset; /* the real VMA */
	const char *filename;
	const char *build_id; /* hex; "" or NULL for unknown */
};

/* `types` are copied; values of cprof_builder_add() come in the same order. */
struct cprof_error *cprof_builder_new(const struct cprof_builder_type *types, size_t n_types,
				      struct cprof_builder **ret_builder);
void cprof_builder_free(struct cprof_builder *builder);

/*
 * Register a mapping; numbers count up from 1, and the first is the main program. Each call makes a
 * new one: the caller knows which of its mappings are the same.
 */
struct cprof_error *cprof_builder_mapping(struct cprof_builder *builder,
					  const struct cprof_builder_mapping *mapping,
					  uint32_t *ret_number);

/* A set of labels, known by a number from then on; equal sets get equal numbers. 0 is the empty set. */
struct cprof_error *cprof_builder_labels(struct cprof_builder *builder,
					 const struct cprof_builder_label *labels, size_t n_labels,
					 uint32_t *ret_labels);

/* The set `labels` and one label more, which must not be in it yet. */
struct cprof_error *cprof_builder_labels_and(struct cprof_builder *builder, uint32_t labels,
					     const struct cprof_builder_label *more,
					     uint32_t *ret_labels);

/*
 * Add `values` (one per type) to the sample with this stack (leaf first; may be empty) and label set.
 * A few hundred nanoseconds where the stack is known.
 */
struct cprof_error *cprof_builder_add(struct cprof_builder *builder,
				      const struct cprof_stack_frame *frames, size_t n_frames,
				      uint32_t labels, const int64_t *values);

/*
 * The same in two steps, for who counts by stack until the end: the number of a stack (stack_table.h), which has no sample yet,
 * and the sample.
 */
struct cprof_error *cprof_builder_stack(struct cprof_builder *builder,
					const struct cprof_stack_frame *frames, size_t n_frames,
					uint32_t *ret_stack);
struct cprof_error *cprof_builder_add_stack(struct cprof_builder *builder, uint32_t stack,
					    uint32_t labels, const int64_t *values);

/* All stacks and frames so far; borrowed. */
const struct cprof_stack_table *cprof_builder_stacks(const struct cprof_builder *builder);

/* Distinct stacks that have samples. */
size_t cprof_builder_sampled_stacks(const struct cprof_builder *builder);

/* One function at a location. Strings are copied by the builder during the call. */
struct cprof_builder_line {
	const char *name;                 /* for people; never empty */
	const char *system_name;          /* as in the symbol table; NULL: same as name */
	const char *filename;             /* NULL or "" where unknown */
	int64_t line, column, start_line; /* 0 where unknown */
};

/*
 * The namer: fill `*ret_lines` (innermost inlined function first) for one location; borrowed until the
 * next call. Return 0 lines where nothing is known. Called once per distinct location of samples, in order.
 */
typedef struct cprof_error *cprof_builder_namer(void *ctx, const struct cprof_stack_frame *frame,
						const struct cprof_builder_line **ret_lines,
						size_t *ret_n);

/*
 * The profile of everything added so far. `namer` may be NULL (addresses only). The mapping flags
 * has_functions.. are set from what the namer delivered for the mapping's locations: a flag is set only
 * where it holds for all of them. The builder stays usable and keeps its counts. Period, times and
 * comments are the caller's to set in *ret_profile.
 */
struct cprof_error *cprof_builder_finish(struct cprof_builder *builder, cprof_builder_namer *namer,
					 void *ctx, struct cprof_profile **ret_profile);

/*
 * Give samples other stacks: `restack` says which for each stack that has samples, once, by numbers of cprof_builder_stack(). What then
 * has the same stack and labels is one sample. Errors: NO_MEMORY, and what `restack` returns.
 */
typedef struct cprof_error *cprof_builder_restacker(void *ctx, uint32_t stack, uint32_t *ret_stack);
struct cprof_error *cprof_builder_restack(struct cprof_builder *builder,
					  cprof_builder_restacker *restack, void *ctx);

/* Forget all counts but keep mappings, locations, stacks and label sets: the next window of a series. */
void cprof_builder_reset_values(struct cprof_builder *builder);

#ifdef __cplusplus
}
#endif

#endif
