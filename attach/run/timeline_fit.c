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

/* The profile with times as they came, and with the widest buckets so far that were too many: fewer samples to start from. */
struct sources {
	const struct cprof_profile *whole; /* borrowed */
	struct cprof_profile *wider;       /* owned; NULL: none yet */
	uint64_t width;                    /* of `wider` */
};

static const struct cprof_profile *source_of(const struct sources *sources, uint64_t width)
{
	return sources->wider && width % sources->width == 0 ? sources->wider : sources->whole;
}

static struct cprof_error *with_width(const struct sources *sources, uint64_t width,
				      struct cprof_profile **ret_profile, size_t *ret_bytes)
{
	const struct cprof_profile *profile = source_of(sources, width);
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

uint64_t cprof_timeline_fit_step(uint64_t bucket_ms, uint64_t length_ms)
{
	uint64_t widths[WIDTHS_MAX], step = bucket_ms;
	if (!find_widths(bucket_ms, length_ms, 1, widths))
		return bucket_ms;
	while (widths[0] / step >= 10)
		step *= 10;
	return step;
}

struct search {
	struct sources sources;
	struct cprof_profile *best; /* owned; NULL: none was small enough */
	size_t small_bytes;
	struct cprof_timeline_fitted fitted;
};

/* Is the profile with buckets of `width` small enough? The first that is asked for is what all others are made from. */
static struct cprof_error *try_width(struct search *search, uint64_t width, bool *ret_small)
{
	struct sources *sources = &search->sources;
	CPROF_AUTO(profile) struct cprof_profile *tried = NULL, *without = NULL;
	size_t bytes = 0;
	struct cprof_error *err = with_width(sources, width, &tried, &bytes);
	if (!err && !search->best) {
		const struct sources from = { sources->whole, tried, width };
		err = with_width(&from, 0, &without, &search->fitted.bytes_without);
		search->best = cprof_take_ptr(&without);
		search->fitted.bytes = search->fitted.bytes_without;
	}
	if (err)
		return err;
	*ret_small = bytes <= search->small_bytes ||
		     bytes <= CPROF_TIMELINE_GROWTH_MAX * search->fitted.bytes_without;
	if (*ret_small) {
		cprof_profile_free(search->best);
		search->best = cprof_take_ptr(&tried);
		search->fitted.bucket_ms = width;
		search->fitted.bytes = bytes;
	} else {
		cprof_profile_free(sources->wider);
		sources->wider = cprof_take_ptr(&tried);
		sources->width = width;
	}
	return NULL;
}

/* The narrowest that is small enough. */
static struct cprof_error *search_widths(struct search *search, const uint64_t *widths, size_t n)
{
	size_t low = 0, high = n;
	struct cprof_error *err = NULL;
	if (!n) {
		err = with_width(&search->sources, 0, &search->best, &search->fitted.bytes);
		search->fitted.bytes_without = search->fitted.bytes;
	}
	while (!err && low < high) {
		const size_t middle = low + (high - low) / 2;
		bool small = false;
		err = try_width(search, widths[middle], &small);
		if (small)
			high = middle;
		else
			low = middle + 1;
	}
	return err;
}

struct cprof_error *cprof_timeline_fit(struct cprof_profile **profile, uint64_t bucket_ms,
				       uint64_t length_ms, uint64_t least, size_t small_bytes,
				       struct cprof_timeline_fitted *ret_fitted)
{
	uint64_t widths[WIDTHS_MAX];
	const size_t n = find_widths(bucket_ms, length_ms, least, widths);
	CPROF_AUTO(profile) struct cprof_profile *whole = cprof_take_ptr(profile);
	struct search search = {
		.sources.whole = whole,
		.small_bytes = small_bytes,
		.fitted.tried = n > 0,
	};
	struct cprof_error *err = search_widths(&search, widths, n);
	CPROF_AUTO(profile) struct cprof_profile *best = search.best;
	cprof_profile_free(search.sources.wider);
	if (err)
		return err;
	*profile = cprof_take_ptr(&best);
	*ret_fitted = search.fitted;
	return NULL;
}
