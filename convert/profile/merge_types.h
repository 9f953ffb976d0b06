/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/profile/merge_types.h - profiles made comparable before their samples are added up: same types, same units.
 */
#ifndef CPROF_CONVERT_PROFILE_MERGE_TYPES_H
#define CPROF_CONVERT_PROFILE_MERGE_TYPES_H

#include "cprof/error.h"
#include "cprof/profile.h"

/* Reduce `n` profiles to common sample types in common units, scaling values and periods. Errors as cprof_merge(). */
struct cprof_error *cprof_merge_types_align(struct cprof_profile **profiles, size_t n);

#endif
