/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/profile/builder_carry.h - a builder that goes on with some of what another one knows: for who forgets the rest.
 *
 * A builder (cprof/builder.h) never forgets a stack. Who counts for days, and wants the last minute of it, begins a new one
 * from time to time and carries over what is wanted still.
 */
#ifndef CPROF_CONVERT_PROFILE_BUILDER_CARRY_H
#define CPROF_CONVERT_PROFILE_BUILDER_CARRY_H

#include "cprof/builder.h"

/* A builder with the types of `from` and its mappings, under the same numbers; with no stack and no sample. Errors: NO_MEMORY. */
struct cprof_error *cprof_builder_again(const struct cprof_builder *from,
					struct cprof_builder **ret_builder);

/* The number that a stack, or a set of labels, of `from` has in `to`, which cprof_builder_again() has made of it. Errors: NO_MEMORY. */
struct cprof_error *cprof_builder_carry_stack(const struct cprof_builder *from, uint32_t stack,
					      struct cprof_builder *to, uint32_t *ret_stack);
struct cprof_error *cprof_builder_carry_labels(const struct cprof_builder *from, uint32_t labels,
					       struct cprof_builder *to, uint32_t *ret_labels);

size_t cprof_builder_n_types(const struct cprof_builder *builder);

/* How much memory stacks, labels, texts and samples take, about. */
size_t cprof_builder_bytes(const struct cprof_builder *builder);

#endif
