/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/jemalloc_samples.h - the blocks that jemalloc's own heap profiler has sampled (prof:true), and their stacks.
 *
 * A sampled block has an extent of its own, whatever its size; the extent's descriptor says when it was allocated, and leads to the
 * counts of its thread and stack (prof_tctx_t), and these to the stack (prof_gctx_t), whose list of addresses names its own place.
 * How often jemalloc samples stands in a variable without a form. But since 5.3 each of the counts has the bytes that its
 * blocks stand for, computed from that, so the blocks that were found tell it; before that the share of all blocks does.
 *
 * Source of truth: jemalloc 5.0.1 to 5.3.0, include/jemalloc/internal/prof_structs.h, include/jemalloc/internal/extent_structs.h,
 * include/jemalloc/internal/edata.h (e_prof_info_t), src/prof_data.c (prof_unbias_map_init). All that is read is hostile.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_JEMALLOC_SAMPLES_H
#define CPROF_ATTACH_HEAP_BASELINE_JEMALLOC_SAMPLES_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/heap/baseline/baseline_memory.h"
#include "attach/heap/baseline/baseline_stacks.h"
#include "attach/heap/baseline/jemalloc_tree.h"
#include "cprof/error.h"
#include "cprof/hash.h"

struct cprof_jemalloc_samples {
	struct cprof_jemalloc_counts {            /* prof_tctx_t: one thread's, of one stack */
		uint32_t stack;                   /* of the stacks given */
		uint64_t objects, unbiased_bytes; /* as jemalloc counts them */
		uint64_t found;                   /* blocks here */
	} * counts;                               /* owned, as all here */
	uint32_t n_counts, cap_counts;
	struct cprof_map64 counts_at; /* address -> number + 1; 0: it is none */
	struct cprof_jemalloc_sample {
		uint64_t addr, bytes, born;
		uint32_t arena, class, counts;
	} * all;
	uint32_t n, cap;
	uint64_t n_broken; /* that led to no stack */
};

/* A zeroed struct has none. */
void cprof_jemalloc_samples_deinit(struct cprof_jemalloc_samples *samples);

/*
 * A large extent in use, of whose block the program has `bytes`: kept if it was sampled, its stack put into `stacks`. At most
 * CPROF_BASELINE_SAMPLED. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_jemalloc_samples_note(struct cprof_jemalloc_samples *samples,
						struct cprof_baseline_memory *memory,
						struct cprof_baseline_stacks *stacks,
						const struct cprof_jemalloc_extent *extent,
						bool is_5_3, uint64_t bytes);

/*
 * The binary logarithm of the mean number of bytes between two samples, by all that was noted; false where nothing agrees with what
 * jemalloc has counted, then *ret_lg is its default, 19.
 */
bool cprof_jemalloc_samples_rate(const struct cprof_jemalloc_samples *samples, unsigned *ret_lg);

/*
 * The same before 5.3, which counts no such bytes: the rate at which it is likeliest that of `in_use` blocks of each size class those were
 * sampled that were noted. False where these are fewer than 16, then *ret_lg is 19.
 */
bool cprof_jemalloc_samples_rate_of_share(const struct cprof_jemalloc_samples *samples,
					  const uint64_t in_use[CPROF_JEMALLOC_CLASSES],
					  unsigned *ret_lg);

#endif
