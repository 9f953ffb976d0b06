/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/jemalloc_samples.h"

#include <math.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/cleanup.h"

#define USER_SPACE  (1ull << 47)
#define DEPTH_MAX   1024 /* jemalloc's own bound is 128, or what a build was given */
#define LG_RATES    48   /* powers of two that are tried */
#define LG_DEFAULT  19   /* LG_PROF_SAMPLE_DEFAULT */
#define SHARE_LEAST 16 /* samples, from which the share of blocks that were taken tells the rate */

void cprof_jemalloc_samples_deinit(struct cprof_jemalloc_samples *samples)
{
	free(samples->counts);
	free(samples->all);
	cprof_map64_deinit(&samples->counts_at);
	*samples = (struct cprof_jemalloc_samples){ 0 };
}

/* ---- stacks ---- */

/* Words of prof_tctx_t and prof_gctx_t, as far as they matter: before 5.3, and since. */
#define COUNTS_WORDS 13
#define STACK_WORDS  15
static const struct layout {
	unsigned objects, unbiased_bytes, stack; /* of the counts; the second 0: not counted */
	unsigned addrs, n;                       /* of the stack; its addresses come behind that */
} layouts[] = { { .objects = 3, .stack = 7, .addrs = 9, .n = 10 },
		{ .objects = 4, .unbiased_bytes = 7, .stack = 12, .addrs = 13, .n = 14 } };

static bool can_be(uint64_t addr)
{
	return addr >= CPROF_BASELINE_PAGE && addr < USER_SPACE && addr % 8 == 0;
}

/* *ret_stack is 0 where there is none. */
static struct cprof_error *read_stack(struct cprof_baseline_memory *memory,
				      const struct layout *layout,
				      struct cprof_baseline_stacks *stacks, uint64_t at,
				      uint32_t *ret_stack)
{
	uint64_t words[STACK_WORDS], addrs[CPROF_BASELINE_DEPTH];
	*ret_stack = 0;
	if (!can_be(at) || !cprof_baseline_memory_read(memory, at, words, (layout->n + 1) * 8))
		return NULL;
	const uint64_t depth = words[layout->n] & UINT32_MAX, first = words[layout->addrs];
	const size_t n = depth < CPROF_BASELINE_DEPTH ? (size_t)depth : CPROF_BASELINE_DEPTH;
	if (first != at + (layout->n + 1) * 8 || !depth || depth > DEPTH_MAX ||
	    !cprof_baseline_memory_read(memory, first, addrs, n * sizeof(*addrs)))
		return NULL;
	return cprof_baseline_stacks_number(stacks, addrs, n, ret_stack);
}

/* *ret_number: of the counts at `at`, + 1; 0: there are none. */
static struct cprof_error *counts_of(struct cprof_jemalloc_samples *samples,
				     struct cprof_baseline_memory *memory,
				     const struct layout *layout,
				     struct cprof_baseline_stacks *stacks, uint64_t at,
				     uint32_t *ret_number)
{
	uint64_t words[COUNTS_WORDS];
	uint32_t stack = 0;
	bool fresh;
	uint64_t *known = cprof_map64_put(&samples->counts_at, at, &fresh);
	if (!known)
		return cprof_error_no_memory();
	*ret_number = (uint32_t)*known;
	if (!fresh || !cprof_baseline_memory_read(memory, at, words, (layout->stack + 1) * 8))
		return NULL;
	struct cprof_error *err = read_stack(memory, layout, stacks, words[layout->stack], &stack);
	if (err || !stack)
		return err;
	if (!CPROF_ARRAY_ROOM(samples->counts, samples->n_counts, samples->cap_counts, 1))
		return cprof_error_no_memory();
	samples->counts[samples->n_counts++] = (struct cprof_jemalloc_counts){
		.stack = stack,
		.objects = words[layout->objects],
		.unbiased_bytes = layout->unbiased_bytes ? words[layout->unbiased_bytes] : 0,
	};
	*known = *ret_number = samples->n_counts;
	return NULL;
}

/*
 * Where a slab has its bits: e_prof_info_t of 5.3, the time, a link and the counts; in 5.2 the time, which is only set for jemalloc's own log,
 * and the counts; before that the counts alone. 0 and 1 are "not sampled".
 */
static struct cprof_error *find_counts(struct cprof_jemalloc_samples *samples,
				       struct cprof_baseline_memory *memory,
				       struct cprof_baseline_stacks *stacks,
				       const struct cprof_jemalloc_extent *extent, bool is_5_3,
				       uint32_t *ret_number)
{
	struct cprof_error *err = NULL;
	const unsigned last = is_5_3 ? 2 : 1, least = is_5_3 ? 2 : 0;
	*ret_number = 0;
	for (unsigned i = last + 1; !err && !*ret_number && i-- > least;) {
		if (!can_be(extent->free[i]))
			continue;
		err = counts_of(samples, memory, &layouts[is_5_3], stacks, extent->free[i],
				ret_number);
		samples->n_broken += !err && !*ret_number;
	}
	return err;
}

struct cprof_error *cprof_jemalloc_samples_note(struct cprof_jemalloc_samples *samples,
						struct cprof_baseline_memory *memory,
						struct cprof_baseline_stacks *stacks,
						const struct cprof_jemalloc_extent *extent,
						bool is_5_3, uint64_t bytes)
{
	uint32_t number;
	if (extent->class >= CPROF_JEMALLOC_CLASSES || samples->n >= CPROF_BASELINE_SAMPLED)
		return NULL;
	struct cprof_error *err = find_counts(samples, memory, stacks, extent, is_5_3, &number);
	if (err || !number)
		return err;
	if (!CPROF_ARRAY_ROOM(samples->all, samples->n, samples->cap, 1))
		return cprof_error_no_memory();
	samples->all[samples->n++] = (struct cprof_jemalloc_sample){
		.addr = extent->block,
		.bytes = bytes,
		.born = is_5_3 ? extent->free[0] : 0,
		.arena = extent->arena,
		.class = extent->class,
		.counts = number - 1,
	};
	samples->counts[number - 1].found++;
	return NULL;
}

/* ---- how often it samples ---- */

/* The bytes that a block stands for, as jemalloc rounds them. */
static double unbiased(unsigned class, unsigned lg)
{
	const double bytes = (double)cprof_jemalloc_class_bytes(class);
	return round(bytes / (1 - exp(-bytes / (double)(1ull << lg))));
}

/* How many of the counts are as they would be at that rate; `sums` has room for all of them. */
static uint32_t agreeing(const struct cprof_jemalloc_samples *samples, unsigned lg, double *sums)
{
	uint32_t good = 0;
	double by_class[CPROF_JEMALLOC_CLASSES];
	for (unsigned class = 0; class < CPROF_JEMALLOC_CLASSES; class ++)
		by_class[class] = unbiased(class, lg);
	for (uint32_t i = 0; i < samples->n_counts; i++)
		sums[i] = 0;
	for (uint32_t i = 0; i < samples->n; i++)
		sums[samples->all[i].counts] += by_class[samples->all[i].class];
	for (uint32_t i = 0; i < samples->n_counts; i++) {
		const struct cprof_jemalloc_counts *counts = &samples->counts[i];
		good += counts->found == counts->objects &&
			fabs(sums[i] - (double)counts->unbiased_bytes) <= (double)counts->found;
	}
	return good;
}

bool cprof_jemalloc_samples_rate(const struct cprof_jemalloc_samples *samples, unsigned *ret_lg)
{
	uint32_t best = 0;
	CPROF_AUTO(free)
	double *sums = calloc(samples->n_counts ? samples->n_counts : 1, sizeof(*sums));
	*ret_lg = LG_DEFAULT;
	/* Blocks that are large for several rates agree with all of them, and it does not matter then. */
	for (unsigned lg = 0; sums && lg < LG_RATES; lg++) {
		const uint32_t good = agreeing(samples, lg, sums);
		if (good > best) {
			best = good;
			*ret_lg = lg;
		}
	}
	return best > 0;
}

/* How likely it is that of so many blocks these were taken: its logarithm. */
static double likelihood(const uint64_t taken[CPROF_JEMALLOC_CLASSES],
			 const uint64_t in_use[CPROF_JEMALLOC_CLASSES], unsigned lg)
{
	double sum = 0;
	for (unsigned class = 0; class < CPROF_JEMALLOC_CLASSES; class ++) {
		const double share =
			(double)cprof_jemalloc_class_bytes(class) / (double)(1ull << lg);
		const uint64_t left =
			in_use[class] > taken[class] ? in_use[class] - taken[class] : 0;
		if (taken[class])
			sum += (double)taken[class] * log(-expm1(-share));
		sum -= (double)left * share;
	}
	return sum;
}

bool cprof_jemalloc_samples_rate_of_share(const struct cprof_jemalloc_samples *samples,
					  const uint64_t in_use[CPROF_JEMALLOC_CLASSES],
					  unsigned *ret_lg)
{
	uint64_t taken[CPROF_JEMALLOC_CLASSES] = { 0 };
	double best = -INFINITY;
	*ret_lg = LG_DEFAULT;
	for (uint32_t i = 0; i < samples->n; i++)
		taken[samples->all[i].class]++;
	for (unsigned lg = 0; samples->n >= SHARE_LEAST && lg < LG_RATES; lg++) {
		const double here = likelihood(taken, in_use, lg);
		if (here > best) {
			best = here;
			*ret_lg = lg;
		}
	}
	return samples->n >= SHARE_LEAST;
}
