/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/timeline_fit.h - how finely a profile can say when its samples were: as wide buckets as it takes to keep the file small.
 *
 * The rule: the narrowest of 1, 2, 5, 10, 20, 50 ... ms of which there are at most 1,000 and with which the file, as it is written (gzip), is at most
 * twice as large as it would be without times, or small in any case. Found by writing it, not by an estimate.
 */
#ifndef CPROF_ATTACH_RUN_TIMELINE_FIT_H
#define CPROF_ATTACH_RUN_TIMELINE_FIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"
#include "cprof/profile.h"

#define CPROF_TIMELINE_BUCKETS_MAX 1000
#define CPROF_TIMELINE_GROWTH_MAX  2
#define CPROF_TIMELINE_SMALL_BYTES                                                                 \
	16384 /* so small is a file that has a row of each thread at any time */

struct cprof_timeline_fitted {
	uint64_t bucket_ms; /* 0: samples do not say when they were */
	size_t bytes, bytes_without;
	bool tried; /* any width; false: there are too few buckets with all of them */
};

/*
 * All that cprof_timeline_fit() may make of buckets of `bucket_ms` in a window of `length_ms` are multiples of this, which is a power of ten of them:
 * whoever has not written the profile yet may write it with buckets of this width at once.
 */
uint64_t cprof_timeline_fit_step(uint64_t bucket_ms, uint64_t length_ms);

/*
 * A file of at most small_bytes is small enough. Widen the buckets of `*profile`, whose samples have the label of timeline.h in multiples of `bucket_ms`, for a window of `length_ms`. With fewer
 * than `least` buckets nobody is helped: then the labels are taken off. The profile is replaced by another one; it is NULL on errors, which are
 * NO_MEMORY.
 */
struct cprof_error *cprof_timeline_fit(struct cprof_profile **profile, uint64_t bucket_ms,
				       uint64_t length_ms, uint64_t least, size_t small_bytes,
				       struct cprof_timeline_fitted *ret_fitted);

#endif
