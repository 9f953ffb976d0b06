/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cprof/profile_scale.h - the values of a profile multiplied: by a number, by one a type, or to another's sums.
 *
 * Values are rounded to the nearest.
 */
#ifndef CPROF_PROFILE_SCALE_H
#define CPROF_PROFILE_SCALE_H

#include "cprof/error.h"
#include "cprof/profile.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Multiply every value and drop the samples that have none left. Without memory for that they stay, at 0. */
void cprof_profile_scale(struct cprof_profile *profile, double ratio);

/* Multiply by one ratio a type; samples in which a changed type has nothing left are dropped. */
void cprof_profile_scale_types(struct cprof_profile *profile, const double *ratios);

/* Scale each type of `profile` so that its sum is that of `base`. Errors: CPROF_ERR_USAGE: not comparable. */
struct cprof_error *cprof_profile_normalize(struct cprof_profile *profile,
					    const struct cprof_profile *base);

#ifdef __cplusplus
}
#endif

#endif
