/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/profile/heap_series.h - a heap profile as one moment of a history (heap_age.h), to be merged with others of the same process.
 *
 * The moment is the end of the profile, in milliseconds since 1970. How many samples its values were made of is not in a file: it follows
 * from sizes, period and the unsampled counts.
 */
#ifndef CPROF_CONVERT_PROFILE_HEAP_SERIES_H
#define CPROF_CONVERT_PROFILE_HEAP_SERIES_H

#include "cprof/error.h"
#include "cprof/profile.h"

/*
 * Put that in the place of `*profile`. Errors: BAD_DATA (no heap profile, or it does not tell when it was taken), NO_MEMORY; then it is as
 * it was.
 */
struct cprof_error *cprof_heap_series_moment(struct cprof_profile **profile, int64_t *ret_ms);

#endif
