/*
 * convert/profile/merge_types.h - what merge.c asks for before it adds samples up: types and units made equal.
 */
#ifndef CPROF_CONVERT_PROFILE_MERGE_TYPES_H
#define CPROF_CONVERT_PROFILE_MERGE_TYPES_H

#include "convert/profile/merge.h"

/* Reduce `n` profiles to common sample types in common units, scaling values and periods. */
struct cprof_error *cprof_merge_types_align(struct cprof_profile **profiles, size_t n);

/* Multiply by one ratio a type; samples in which a changed type has nothing left are dropped. */
void cprof_merge_types_scale(struct cprof_profile *profile, const double *ratios);

#endif
