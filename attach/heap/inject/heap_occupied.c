#include "attach/heap/inject/heap_occupied.h"

#include <stdlib.h>

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
