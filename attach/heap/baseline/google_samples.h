/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/google_samples.h - the blocks that Google's tcmalloc has sampled, always, and their stacks.
 *
 * Each sampled block has a record (SampledAllocation) in a list that never gets shorter; the record of a block that was freed is in a ring of
 * dead ones as well. List and ring begin side by side among tcmalloc's variables (SampleRecorder), and an empty ring names its own place:
 * so they are found by their form. Where in a record the stack stands has changed over the years: a row of a table each. A row
 * is believed where all that it calls a stack is addresses of code.
 *
 * Source of truth: google/tcmalloc, tcmalloc/internal/logging.h (StackTrace), tcmalloc/internal/sampled_allocation_recorder.h, 2022 to 2026. All that is
 * read is hostile.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_GOOGLE_SAMPLES_H
#define CPROF_ATTACH_HEAP_BASELINE_GOOGLE_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/heap/baseline/baseline_memory.h"
#include "cprof/error.h"
#include "cprof/maps.h"

#define CPROF_GOOGLE_DEPTH 64 /* kMaxStackDepth */

struct cprof_google {
	struct cprof_maps *maps; /* borrowed: tells what is code */
	uint64_t first;          /* record of the list; 0: not found */
	unsigned form;           /* row of the table of records */
	uint64_t newest, living; /* of its blocks: the last handle or time, and bytes that live */
	unsigned asked;          /* records looked at in search of it, */
	unsigned lists;          /* and lists that look like it */
};

struct cprof_google_sample {
	uint64_t record;           /* its address */
	uint64_t requested, bytes; /* asked for, and given */
	uint64_t weight;           /* bytes asked for since the sample before it, as expected */
	uint64_t handle;           /* no two blocks have the same; 0: this form has none */
	uint64_t born_ns;          /* CLOCK_REALTIME; 0: not told */
	uint64_t addrs[CPROF_GOOGLE_DEPTH];
	size_t n;
	bool lives; /* else it is what is left of one that was freed */
};

/*
 * In variables [start, end), with google->maps set. There is a second list of the same form, with what lived when the heap was
 * largest: the one that knows newer blocks, or else has fewer, stays in `google`, also over several calls.
 */
void cprof_google_find(struct cprof_baseline_memory *memory, uint64_t start, uint64_t end,
		       struct cprof_google *google);

/*
 * Each block, also of those that live no more, at most CPROF_BASELINE_SAMPLED records. *ret_broken: records that are none, also where the list ends
 * in one. An error of `fn` ends it.
 */
typedef struct cprof_error *cprof_google_sample_fn(void *ctx,
						   const struct cprof_google_sample *sample);
struct cprof_error *cprof_google_samples_each(struct cprof_baseline_memory *memory,
					      const struct cprof_google *google,
					      cprof_google_sample_fn *fn, void *ctx,
					      uint64_t *ret_broken);

#endif
