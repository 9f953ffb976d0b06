/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cprof/merge.h - several profiles into one.
 *
 * Equal stacks with equal labels add up. Mappings are recognized by build id (or name), offset and
 * size, so the same program at two load addresses is one. The result is tidy: nothing unused in it,
 * everything numbered in the order in which its samples mention it, no sample without a value.
 */
#ifndef CPROF_MERGE_H
#define CPROF_MERGE_H

#include <stdbool.h>

#include "cprof/error.h"
#include "cprof/profile.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Merge `n` >= 1 profiles; also tidies a single one. Takes the profiles: each is freed and its pointer set to
 * NULL, on errors too, because two copies of a large profile need not be in memory for longer than needed.
 *
 * Where sample types differ, the types that all have remain, in the first profile's order; where units
 * differ, all are scaled to the finest. Errors: CPROF_ERR_USAGE where nothing is common.
 */
struct cprof_error *cprof_merge(struct cprof_profile **profiles, size_t n,
				struct cprof_profile **ret_profile);

/*
 * `pair[0]` less `pair[1]`, of which both are taken as by cprof_merge(). `mark`: the samples of the second have the label
 * pprof::base=true, by which reports tell percentages of it.
 */
struct cprof_error *cprof_merge_subtract(struct cprof_profile *pair[2], bool mark,
					 struct cprof_profile **ret_profile);

/* Give every sample the text label key=value, replacing one that it has. */
struct cprof_error *cprof_merge_label_all(struct cprof_profile *profile, const char *key,
					  const char *value);

#ifdef __cplusplus
}
#endif

#endif
