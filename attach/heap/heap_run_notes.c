/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a heap profile's run says at its end: how it was watched, what was allocated, and what is not in the profile.
 */
#include <inttypes.h>

#include "attach/heap/heap_report.h"
#include "attach/heap/heap_run_impl.h"
#include "base/bytes_text.h"
#include "base/clock.h"

static void note_totals(const struct cprof_heap_run *heap)
{
	char text[4][CPROF_BYTES_TEXT];
	const struct cprof_heap_profile *profile = &heap->profile;
	cprof_run_log_note(
		heap->run->log, CPROF_NOTE_PLAIN,
		"allocated %s ±%s (95 %%) in %" PRIu64 " sampled calls; in use of that %s "
		"±%s in %" PRIu64 " live samples",
		cprof_bytes_text(profile->alloc.bytes, CPROF_BYTES_TENTHS, text[0]),
		cprof_bytes_text(cprof_heap_error95(&profile->alloc), CPROF_BYTES_TENTHS, text[1]),
		profile->alloc.samples,
		cprof_bytes_text(profile->inuse.bytes, CPROF_BYTES_TENTHS, text[2]),
		cprof_bytes_text(cprof_heap_error95(&profile->inuse), CPROF_BYTES_TENTHS, text[3]),
		profile->inuse.samples);
	if (!heap->request->baseline)
		cprof_run_log_note(
			heap->run->log, CPROF_NOTE_WARNING,
			"in use means: allocated since the attach and not freed; what process %d "
			"held before is not in this profile (-heap-baseline adds it)",
			(int)heap->run->targets[0]->pid);
}

/* Who reads the totals must know that they are not of all calls. */
static void note_sizes(const struct cprof_heap_run *heap)
{
	char text[CPROF_HEAP_SIZES_TEXT];
	cprof_heap_sizes_text(&heap->request->sizes, text);
	if (*text)
		cprof_run_log_note(heap->run->log, CPROF_NOTE_WARNING,
				   "only calls for %s were sampled (-heap-size): no other "
				   "allocation is in this profile",
				   text);
}

static void note_since(const struct cprof_heap_run *heap)
{
	const double s = (double)heap->request->since_ns / (double)CPROF_NS_PER_S;
	if (heap->since.marked)
		cprof_run_log_note(heap->run->log, CPROF_NOTE_WARNING,
				   "the profile tells what has changed since %g s after the "
				   "attach (-heap-since): allocated after that, and in use at the "
				   "end less in use then",
				   s);
	else if (heap->request->since_ns)
		cprof_run_log_note(heap->run->log, CPROF_NOTE_WARNING,
				   "the run ended before the %g s of -heap-since were over: the "
				   "profile is of all of it",
				   s);
}

static void note_room(const struct cprof_heap_run *heap)
{
	if (heap->no_room)
		cprof_run_log_note(heap->run->log, CPROF_NOTE_WARNING,
				   "%" PRIu64 " samples were left out: there are more distinct "
				   "stacks and sizes than a profile may hold: raise -rate",
				   heap->no_room);
}

/* The region that we share with the process is its own memory. By mistake or on purpose, it can write there. */
static void note_trust(const struct cprof_heap_run *heap)
{
	if (cprof_heap_profile_plausible(&heap->profile) && !heap->sources.reader.odd)
		return;
	if (heap->sources.sites) {
		cprof_run_log_note(heap->run->log, CPROF_NOTE_WARNING,
				   "of %" PRIu64 " of its samples the program says what cannot be "
				   "true (they stand for nothing, or for more than there can be): "
				   "they were left out",
				   heap->profile.absurd);
		return;
	}
	cprof_run_log_note(
		heap->run->log, CPROF_NOTE_WARNING,
		"the target changed our region of its memory: %" PRIu64
		" samples and counts in it cannot be true and were left out; what is left "
		"says what the target wants it to",
		heap->profile.absurd + heap->sources.reader.odd);
}

/* Was nothing allocated, or not through what we know? */
static void note_silence(const struct cprof_heap_run *heap)
{
	if (heap->run->log->counts.samples || cprof_heap_sources_lost(&heap->sources) ||
	    cprof_heap_sources_nested(&heap->sources) || heap->profile.alloc.samples)
		return;
	if (heap->sources.sites) {
		cprof_run_log_note(
			heap->run->log, CPROF_NOTE_WARNING,
			"the program took no sample: its sampling may be switched off, or "
			"little was allocated; -heap-method inline watches its "
			"allocators");
		return;
	}
	cprof_run_log_note(heap->run->log, CPROF_NOTE_WARNING,
			   "no sampled allocation went through the %" PRIu64
			   " functions that are watched: either little %swas allocated, or by an "
			   "allocator that has no symbols (name its functions with -heap-hook)",
			   cprof_heap_sources_watched(&heap->sources),
			   heap->request->sizes.given ? "of these sizes " : "");
}

static void note_mechanism(const struct cprof_heap_run *heap)
{
	cprof_heap_report_means(&heap->sources);
	if (heap->profile.period_max > heap->profile.period_min)
		cprof_run_log_note(heap->run->log, CPROF_NOTE_WARNING,
				   "the rate went from %" PRIu64 " to %" PRIu64
				   " bytes to keep up; each sample is weighed with its own",
				   heap->profile.period_min, heap->profile.period_max);
	cprof_heap_report_losses(&heap->sources);
}

void cprof_heap_run_tell(const struct cprof_heap_run *heap)
{
	note_mechanism(heap);
	note_totals(heap);
	note_sizes(heap);
	note_since(heap);
	note_room(heap);
	note_trust(heap);
	note_silence(heap);
}
