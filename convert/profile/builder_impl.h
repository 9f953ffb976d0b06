/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/profile/builder_impl.h - the inside of a builder, for builder.c and builder_carry.c.
 */
#ifndef CPROF_CONVERT_PROFILE_BUILDER_IMPL_H
#define CPROF_CONVERT_PROFILE_BUILDER_IMPL_H

#include "cprof/builder.h"

/* A run of entries in a shared array: a label set in `labels`. */
struct builder_run {
	uint32_t first, n;
};

struct builder_sample {
	uint32_t stack, labels;
};

/* An array with its length and room; BUILDER_ROOM() grows it. */
#define BUILDER_ARRAY(type)                                                                        \
	struct {                                                                                   \
		type *at;                                                                          \
		uint32_t n, room;                                                                  \
	}
#define BUILDER_ROOM(array, extra)                                                                 \
	cprof_profile_grow(&(array).at, (array).n, &(array).room, (extra), sizeof(*(array).at))

struct cprof_builder {
	struct cprof_intern strings;
	BUILDER_ARRAY(struct cprof_value_type) types;
	BUILDER_ARRAY(struct cprof_mapping) mappings;
	struct cprof_stack_table stacks;
	BUILDER_ARRAY(struct cprof_label) labels; /* each set sorted, so equal sets look equal */
	BUILDER_ARRAY(struct builder_run) label_runs; /* [0] is the empty set */
	BUILDER_ARRAY(struct builder_sample) samples;
	int64_t *values; /* n_types a sample; as many rows as samples.room */

	/* Hash -> index + 1. Unequal things with one hash go on to the hash of the hash. */
	struct cprof_map64 label_map, sample_map;
	BUILDER_ARRAY(struct cprof_label) label_scratch;
};

#endif
