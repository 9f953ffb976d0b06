/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/jemalloc_samples.h"

#include <math.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/cleanup.h"

#define USER_SPACE (1ull << 47)
#define DEPTH_MAX  1024 /* jemalloc's own bound is 128, or what a build was given */
#define LG_RATES   48   /* powers of two that are tried */
#define LG_DEFAULT 19   /* LG_PROF_SAMPLE_DEFAULT */

void cprof_jemalloc_samples_deinit(struct cprof_jemalloc_samples *samples)
{
	free(samples->counts);
	free(samples->all);
	cprof_map64_deinit(&samples->counts_at);
	*samples = (struct cprof_jemalloc_samples){ 0 };
}

/* ---- stacks ---- */

struct counts { /* prof_tctx_t as far as it matters */
	uint64_t tdata, thread, discriminator, recent;
	uint64_t objects, objects_unbiased, bytes, bytes_unbiased, accumulated[4];
	uint64_t stack;
};
_Static_assert(sizeof(struct counts) == 13 * 8, "include/jemalloc/internal/prof_structs.h");

struct stack { /* prof_gctx_t up to its addresses */
	uint64_t lock, limbo, counts, link[2], summed[8];
	uint64_t addrs, n;
};
#define ADDRS_AT sizeof(struct stack)

static bool can_be(uint64_t addr)
{
	return addr >= CPROF_BASELINE_PAGE && addr < USER_SPACE && addr % 8 == 0;
}

/* *ret_stack is 0 where there is none. */
static struct cprof_error *read_stack(struct cprof_baseline_memory *memory,
				      struct cprof_baseline_stacks *stacks, uint64_t at,
				      uint32_t *ret_stack)
{
	struct stack stack;
	uint64_t addrs[CPROF_BASELINE_DEPTH];
	*ret_stack = 0;
	if (!can_be(at) || !cprof_baseline_memory_read(memory, at, &stack, sizeof(stack)))
		return NULL;
	const uint64_t depth = stack.n & UINT32_MAX;
	const size_t n = depth < CPROF_BASELINE_DEPTH ? (size_t)depth : CPROF_BASELINE_DEPTH;
	if (stack.addrs != at + ADDRS_AT || !depth || depth > DEPTH_MAX ||
	    !cprof_baseline_memory_read(memory, stack.addrs, addrs, n * sizeof(*addrs)))
		return NULL;
	return cprof_baseline_stacks_number(stacks, addrs, n, ret_stack);
}

/* *ret_number: of the counts at `at`, + 1; 0: there are none. */
static struct cprof_error *counts_of(struct cprof_jemalloc_samples *samples,
				     struct cprof_baseline_memory *memory,
				     struct cprof_baseline_stacks *stacks, uint64_t at,
				     uint32_t *ret_number)
{
	struct counts words;
	uint32_t stack = 0;
	bool fresh;
	uint64_t *known = cprof_map64_put(&samples->counts_at, at, &fresh);
	if (!known)
		return cprof_error_no_memory();
	*ret_number = (uint32_t)*known;
	if (!fresh || !cprof_baseline_memory_read(memory, at, &words, sizeof(words)))
		return NULL;
	struct cprof_error *err = read_stack(memory, stacks, words.stack, &stack);
	if (err || !stack)
		return err;
	if (!CPROF_ARRAY_ROOM(samples->counts, samples->n_counts, samples->cap_counts, 1))
		return cprof_error_no_memory();
	samples->counts[samples->n_counts++] = (struct cprof_jemalloc_counts){
		.stack = stack,
		.objects = words.objects,
		.unbiased_bytes = words.bytes_unbiased,
	};
	*known = *ret_number = samples->n_counts;
	return NULL;
}

struct cprof_error *cprof_jemalloc_samples_note(struct cprof_jemalloc_samples *samples,
						struct cprof_baseline_memory *memory,
						struct cprof_baseline_stacks *stacks,
						const struct cprof_jemalloc_extent *extent,
						uint64_t bytes)
{
	/* e_prof_info_t lies where a slab has its bits; 0 and 1 are "not sampled". */
	const uint64_t born = extent->free[0], at = extent->free[2];
	uint32_t number = 0;
	if (!can_be(at) || extent->class >= CPROF_JEMALLOC_CLASSES ||
	    samples->n >= CPROF_BASELINE_SAMPLED)
		return NULL;
	struct cprof_error *err = counts_of(samples, memory, stacks, at, &number);
	if (err || !number) {
		samples->n_broken += !number;
		return err;
	}
	if (!CPROF_ARRAY_ROOM(samples->all, samples->n, samples->cap, 1))
		return cprof_error_no_memory();
	samples->all[samples->n++] = (struct cprof_jemalloc_sample){
		.addr = extent->block,
		.bytes = bytes,
		.born = born,
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
