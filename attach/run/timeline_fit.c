/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/timeline_fit.h"

#include <string.h>

#include "attach/run/timeline.h"
#include "base/cleanup.h"
#include "cprof/merge.h"
#include "cprof/pprof_write.h"

#define WIDTHS_MAX 40

/* Every time to the beginning of its bucket; width 0 takes the times off. */
static void round_times(struct cprof_profile *profile, uint64_t width)
{
	for (uint32_t i = 0; i < profile->n_samples; i++) {
		struct cprof_sample *sample = &profile->samples[i];
		struct cprof_label *labels = &profile->labels[sample->first_label];
		uint32_t n = 0;
		for (uint32_t l = 0; l < sample->n_labels; l++) {
			struct cprof_label label = labels[l];
			if (label.is_num && strcmp(cprof_profile_text(profile, label.key),
						   CPROF_TIMELINE_KEY) == 0) {
				if (!width)
					continue;
				label.num -= label.num % (int64_t)width;
			}
			labels[n++] = label;
		}
		sample->n_labels = n;
	}
}

static struct cprof_error *with_width(const struct cprof_profile *profile, uint64_t width,
				      struct cprof_profile **ret_profile, size_t *ret_bytes)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	CPROF_AUTO(profile) struct cprof_profile *copy = NULL, *merged = NULL;
	struct cprof_error *err = cprof_profile_copy(profile, &copy);
	if (err)
		return err;
	round_times(copy, width);
	err = cprof_merge(&copy, 1, &merged);
	if (!err)
		err = cprof_pprof_encode(merged, CPROF_PPROF_GZIP_FAST, &bytes);
	if (err)
		return err;
	*ret_bytes = bytes.len;
	*ret_profile = cprof_take_ptr(&merged);
	return NULL;
}

/* 1, 2, 5, 10 ... times `bucket_ms`, as far as there are enough and not too many of them. */
static size_t find_widths(uint64_t bucket_ms, uint64_t length_ms, uint64_t least,
			  uint64_t widths[WIDTHS_MAX])
{
	static const uint64_t factors[] = { 1, 2, 5 };
	size_t n = 0;
	uint64_t ten = bucket_ms;
	for (unsigned i = 0; n < WIDTHS_MAX && ten <= length_ms; i++) {
		const uint64_t width = ten * factors[i % 3];
		const uint64_t buckets = length_ms / width + (length_ms % width != 0);
		if (buckets < least)
			break;
		if (buckets <= CPROF_TIMELINE_BUCKETS_MAX)
			widths[n++] = width;
		ten *= i % 3 == 2 ? 10 : 1;
	}
	return n;
}

struct cprof_error *cprof_timeline_fit(struct cprof_profile **profile, uint64_t bucket_ms,
				       uint64_t length_ms, uint64_t least, size_t small_bytes,
				       struct cprof_timeline_fitted *ret_fitted)
{
	uint64_t widths[WIDTHS_MAX];
	CPROF_AUTO(profile) struct cprof_profile *whole = cprof_take_ptr(profile);
	CPROF_AUTO(profile) struct cprof_profile *best = NULL;
	struct cprof_timeline_fitted fitted = { 0 };
	size_t low = 0, high = find_widths(bucket_ms, length_ms, least, widths);
	struct cprof_error *err = with_width(whole, 0, &best, &fitted.bytes_without);
	fitted.bytes = fitted.bytes_without;
	fitted.tried = high > 0;
	while (!err && low < high) { /* the narrowest that is small enough */
		CPROF_AUTO(profile) struct cprof_profile *tried = NULL;
		const size_t middle = low + (high - low) / 2;
		size_t bytes = 0;
		err = with_width(whole, widths[middle], &tried, &bytes);
		if (!err && (bytes <= small_bytes ||
			     bytes <= CPROF_TIMELINE_GROWTH_MAX * fitted.bytes_without)) {
			cprof_profile_free(best);
			best = cprof_take_ptr(&tried);
			fitted.bucket_ms = widths[middle];
			fitted.bytes = bytes;
			high = middle;
		} else {
			low = middle + 1;
		}
	}
	if (err)
		return err;
	*profile = cprof_take_ptr(&best);
	*ret_fitted = fitted;
	return NULL;
}
