/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/heap_occupied.h"

#include <stdlib.h>

#include "attach/heap/inject/heap_blob.h"
#include "attach/heap/inject/heap_threads.h"
#include "base/cleanup.h"

#define AT(pages, member) ((pages)->data + offsetof(struct cprof_shim_data, member))

/* May a thread with that thread pointer be there? One that does not stand still may be any. */
static bool may_live(const struct cprof_ptrace *trace, uint64_t thread_pointer)
{
	for (size_t i = 0; i < trace->n; i++) {
		const struct cprof_tracee *thread = &trace->threads[i];
		if (thread->state != CPROF_TRACEE_STOPPED || thread->regs.fs_base == thread_pointer)
			return true;
	}
	return false;
}

/*
 * Are all its words on the stack as they were? A frame that was left by a jump out of it is written over by whatever is called
 * next. One that is on its thread's own stack ends with the thread.
 */
static bool may_return(const struct cprof_heap_pages *pages, const struct cprof_ptrace *trace,
		       const struct cprof_shim_flight *flight)
{
	uint64_t words[CPROF_SHIM_FRAME_BYTES / 8];
	return cprof_heap_pages_read(pages, flight->frame, words, sizeof(words)) &&
	       cprof_shim_sum(words) == flight->sum &&
	       (!flight->own || may_live(trace, flight->thread_pointer));
}

static const char *in_flight(const struct cprof_heap_pages *pages, const struct cprof_ptrace *trace)
{
	static const char waiting[] = "a sampled allocation is still under way, or suspended";
	const size_t n = 1u << CPROF_SHIM_FLIGHTS_LOG2;
	CPROF_AUTO(free) struct cprof_shim_flight *flights = calloc(n, sizeof(*flights));
	if (!flights)
		return "there is no memory to look who is inside";
	if (!cprof_heap_pages_read(pages, AT(pages, flights), flights, n * sizeof(*flights)))
		return "its counters cannot be read";
	for (size_t i = 0; i < n; i++) {
		if (flights[i].frame && may_return(pages, trace, &flights[i]))
			return waiting;
	}
	return NULL;
}

/* Does the data speak of this process? In a forked child it is all zeros. */
static bool has_marks(const struct cprof_heap_pages *pages)
{
	uint64_t magic = 0;
	return pages->data_mapped &&
	       cprof_heap_pages_read(pages, AT(pages, control.magic), &magic, sizeof(magic)) &&
	       magic != 0;
}

const char *cprof_heap_occupied(const struct cprof_heap_pages *pages,
				const struct cprof_ptrace *trace)
{
	struct cprof_shim_range ranges[CPROF_HEAP_IMAGES_MAX];
	for (uint32_t i = 0; i < pages->n_images; i++)
		ranges[i] = (struct cprof_shim_range){ pages->images[i].addr,
						       pages->images[i].addr + pages->image_bytes };
	const char *why = NULL;
	if (has_marks(pages))
		why = in_flight(pages, trace);
	else if (cprof_heap_threads_point_into(trace, pages->maps, ranges, pages->n_images))
		why = "a thread may return into it";
	if (why)
		return why;
	if (cprof_heap_threads_run_in(trace, ranges, pages->n_images))
		return "a thread executes it";
	if (cprof_heap_threads_return_into(trace, pages->maps, ranges, pages->n_images))
		return "a thread will return into it from a signal handler";
	return NULL;
}

/* ---- put aside ---- */

#define TRAMPOLINES (2u * CPROF_SHIM_MAX_ENTRIES * CPROF_HEAP_IMAGES_MAX)

static int by_value(const void *a_, const void *b_)
{
	const uint64_t *a = a_, *b = b_;
	return *a < *b ? -1 : *a > *b;
}

/*
 * The stubs of one code mapping. They call nothing, so no return address leads there; but the slow path leaves on the stack
 * where it went from it.
 */
static struct cprof_shim_range stubs_of(const struct cprof_heap_image *image, uint64_t *but,
					size_t *n_but)
{
	uint32_t n, end = CPROF_SHIM_IMAGE_BYTES;
	const struct cprof_shim_stub *stubs = cprof_heap_blob_stubs(&n);
	for (uint32_t i = 0; i < n && i < CPROF_SHIM_MAX_ENTRIES; i++) {
		but[(*n_but)++] = image->addr + stubs[i].restore;
		but[(*n_but)++] = image->addr + stubs[i].trampoline;
		if (stubs[i].trampoline + CPROF_SHIM_TRAMPOLINE_BYTES > end)
			end = stubs[i].trampoline + CPROF_SHIM_TRAMPOLINE_BYTES;
	}
	return (struct cprof_shim_range){ image->addr + CPROF_SHIM_IMAGE_BYTES, image->addr + end };
}

/* Is nobody in the C code, neither running nor put aside? What names it then is what somebody left behind. */
static bool nobody_inside(const struct cprof_heap_pages *pages)
{
	uint64_t inside = 0;
	return has_marks(pages) &&
	       cprof_heap_pages_read(pages, AT(pages, control.inside), &inside, sizeof(inside)) &&
	       inside == 0;
}

enum cprof_heap_scanned cprof_heap_occupied_scan(const struct cprof_heap_pages *pages,
						 const struct cprof_shim_range *dead, size_t n_dead,
						 uint64_t bytes_max)
{
	struct cprof_shim_range stubs[CPROF_HEAP_IMAGES_MAX], images[CPROF_HEAP_IMAGES_MAX];
	uint64_t but[TRAMPOLINES];
	size_t n_but = 0;
	const bool entry_only = nobody_inside(pages);
	for (uint32_t i = 0; i < pages->n_images; i++) {
		const struct cprof_heap_image *image = &pages->images[i];
		stubs[i] = stubs_of(image, but, &n_but);
		images[i] = (struct cprof_shim_range){
			image->addr,
			image->addr + (entry_only ? image->copy->entry_end : pages->image_bytes)
		};
	}
	qsort(but, n_but, sizeof(but[0]), by_value);
	const struct cprof_heap_scan scan = {
		.alone = stubs,
		.n_alone = pages->n_images,
		.in_context = images,
		.n_in_context = pages->n_images,
		.but = but,
		.n_but = n_but,
		.skip_start = pages->data,
		.skip_end = pages->data + pages->data_bytes,
		.dead = dead,
		.n_dead = n_dead,
		.bytes_max = bytes_max,
	};
	return cprof_heap_scan(pages->target, pages->maps, &scan);
}
