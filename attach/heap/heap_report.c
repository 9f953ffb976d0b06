/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/heap_report.h"

#include <inttypes.h>

/* ---- means ---- */

static void report_hook(struct cprof_run_log *log, const struct cprof_heap_hook *hook)
{
	switch (hook->state) {
	case CPROF_HEAP_HOOK_UPROBE:
		cprof_run_log_note(log, CPROF_NOTE_DETAIL,
				   "watched by a uprobe%s: %s at 0x%" PRIx64 " in %s",
				   hook->slow ? " (single-stepped)" : "", hook->entry.name,
				   hook->entry.addr, hook->entry.map->path);
		break;
	case CPROF_HEAP_HOOK_PATCHED:
		cprof_run_log_note(log, CPROF_NOTE_DETAIL, "hooked %s at 0x%" PRIx64 " in %s%s%s",
				   hook->entry.name, hook->entry.addr, hook->entry.map->path,
				   hook->patch.at_entry ? ", at its first byte" : "",
				   hook->light ? "" : ", with all registers kept");
		break;
	case CPROF_HEAP_HOOK_PLANNED:
	case CPROF_HEAP_HOOK_NO_STUB:
	case CPROF_HEAP_HOOK_REFUSED:
		cprof_run_log_note(log, CPROF_NOTE_WARNING, "not hooked: %s in %s: %s",
				   hook->entry.name, hook->entry.map->path,
				   cprof_heap_hook_reason(hook));
		break;
	}
}

static void report_first_bytes(struct cprof_run_log *log, unsigned at_entry, unsigned patched)
{
	if (at_entry)
		cprof_run_log_note(log, CPROF_NOTE_DETAIL,
				   "%u of %u functions were patched at their first byte, where "
				   "another tool's uprobe meanwhile would have been fatal",
				   at_entry, patched);
}

static void report_sites(const struct cprof_heap_sources *sources)
{
	if (sources->sites)
		cprof_run_log_note(
			sources->log, CPROF_NOTE_FACT,
			"samples are those that the program takes itself (its probes "
			"otel_memory:alloc, at %zu places: %" PRIu64 " samples, %" PRIu64
			" frees), by its own rate; -heap-method inline watches its allocators "
			"instead",
			sources->sites, sources->counts.calls, sources->counts.frees);
}

static void report_uprobes(const struct cprof_heap_sources *sources, unsigned n, unsigned slow)
{
	if (n)
		cprof_run_log_note(
			sources->log, CPROF_NOTE_WARNING,
			"%u entry points were watched by uprobes: each of %" PRIu64
			" calls and %" PRIu64
			" frees took a trap, about 1 us more (about 10 us at %u of them, "
			"where the kernel single-steps)",
			n, sources->counts.calls, sources->counts.frees, slow);
	if (sources->counts.gone)
		cprof_run_log_note(sources->log, CPROF_NOTE_WARNING,
				   "the first thread ended, then another tool took uprobes out of "
				   "the same functions, and ours went with them: later allocations "
				   "are not in this profile");
	if (sources->counts.left)
		cprof_run_log_note(
			sources->log, CPROF_NOTE_FACT,
			"%" PRIu64
			" sampled calls were left by an exception, a longjmp or the end of their "
			"thread, or had not ended yet: they gave no block",
			sources->counts.left);
	if (sources->by_uprobe.none_why)
		cprof_run_log_note(sources->log, CPROF_NOTE_WARNING,
				   "what cannot be patched is not watched by uprobes either: %s",
				   sources->by_uprobe.none_why);
}

static void report_calls(struct cprof_run_log *log, const struct cprof_stop_tally *tally)
{
	if (tally->interrupted)
		cprof_run_log_note(log, CPROF_NOTE_FACT,
				   "%" PRIu64 " times a thread slept in a system call that returns "
				   "EINTR after a stop (epoll_wait with a time limit and the like)",
				   tally->interrupted);
	if (tally->cut_short)
		cprof_run_log_note(
			log, CPROF_NOTE_WARNING,
			"%" PRIu64 " times a thread slept in a write or send, which may have "
			"done less than it was asked to when it was stopped, as after SIGSTOP",
			tally->cut_short);
}

static void report_stops(struct cprof_run_log *log, const struct cprof_heap_install *install)
{
	char attach[128], detach[128];
	struct cprof_stop_tally both = install->attach_stops;
	cprof_stop_tally_join(&both, &install->detach_stops);
	if (!both.stops) {
		cprof_run_log_note(log, CPROF_NOTE_FACT,
				   "no thread was stopped, nothing was injected");
		return;
	}
	cprof_stop_tally_text(&install->attach_stops, attach, sizeof(attach));
	cprof_stop_tally_text(&install->detach_stops, detach, sizeof(detach));
	cprof_run_log_note(
		log, CPROF_NOTE_FACT,
		"threads stood still %s, for the attach, and %s, for the detach; %u entry "
		"points hooked, %u restored",
		attach, detach, install->patched, install->restored);
	report_calls(log, &both);
}

void cprof_heap_report_failed_attach(const struct cprof_heap_sources *sources)
{
	char text[128];
	struct cprof_stop_tally both = sources->install.attach_stops;
	cprof_stop_tally_join(&both, &sources->install.detach_stops);
	if (!both.stops)
		return;
	cprof_stop_tally_text(&both, text, sizeof(text));
	cprof_run_log_note(sources->log, CPROF_NOTE_FACT,
			   "threads stood still %s, for an attach that failed", text);
	report_calls(sources->log, &both);
}

void cprof_heap_report_means(const struct cprof_heap_sources *sources)
{
	unsigned by_uprobe = 0, slow = 0, patched = 0, at_entry = 0;
	for (size_t i = 0; i < sources->hooks.n; i++) {
		const struct cprof_heap_hook *hook = &sources->hooks.all[i];
		report_hook(sources->log, hook);
		by_uprobe += hook->state == CPROF_HEAP_HOOK_UPROBE;
		slow += hook->state == CPROF_HEAP_HOOK_UPROBE && hook->slow;
		patched += hook->state == CPROF_HEAP_HOOK_PATCHED;
		at_entry += hook->state == CPROF_HEAP_HOOK_PATCHED && hook->patch.at_entry;
	}
	report_first_bytes(sources->log, at_entry, patched);
	report_sites(sources);
	report_uprobes(sources, by_uprobe, slow);
	report_stops(sources->log, &sources->install);
}

/* ---- losses ---- */

void cprof_heap_report_pages(const struct cprof_heap_sources *sources)
{
	const struct cprof_heap_install *install = &sources->install;
	if (install->page_kept && install->jumps_kept)
		cprof_run_log_note(
			sources->log, CPROF_NOTE_WARNING,
			"what was injected is still in the process, asleep (harmless, each hooked call "
			"costs a few instructions), because it could not be stopped to take it out: %s. "
			"Remove it later with cprof-attach -repair %d; no other heap profile of it "
			"can be taken before",
			install->kept_why, (int)install->target->pid);
	else if (install->page_kept)
		cprof_run_log_note(
			sources->log, CPROF_NOTE_WARNING,
			"the injected page stays mapped (nothing leads to it any more), because %s; "
			"remove it later with cprof-attach -repair %d",
			install->kept_why, (int)install->target->pid);
	if (install->lost_objects)
		cprof_run_log_note(
			sources->log, CPROF_NOTE_WARNING,
			"%u hooked functions were unmapped or changed by somebody else and "
			"were not restored",
			install->lost_objects);
}

/*
 * Of the time in which nobody read the countdowns tell how many bytes went by: each hooked function's, so one that calls
 * another twice.
 */
static void report_sleep(struct cprof_run_log *log, const struct cprof_heap_reader *reader)
{
	if (reader->slept)
		cprof_run_log_note(log, CPROF_NOTE_WARNING,
				   "cprof-attach could not keep up and sampling paused %" PRIu64
				   " times: blocks of at most %" PRIu64
				   " bytes in sum were allocated meanwhile and are in no total, "
				   "beside the samples lost: raise -rate",
				   reader->slept, reader->slept_bytes);
}

void cprof_heap_report_losses(const struct cprof_heap_sources *sources)
{
	struct cprof_run_log *log = sources->log;
	const uint64_t lost = cprof_heap_sources_lost(sources);
	const uint64_t table_full = cprof_heap_sources_table_full(sources);
	if (lost)
		cprof_run_log_note(log, CPROF_NOTE_WARNING,
				   "%" PRIu64 " samples were lost, of blocks of %" PRIu64
				   " bytes in sum: raise -rate",
				   lost, cprof_heap_sources_lost_bytes(sources));
	if (table_full)
		cprof_run_log_note(log, CPROF_NOTE_WARNING,
				   "%" PRIu64 " sampled blocks found no room in the table of live "
				   "blocks and count as freed: raise -rate",
				   table_full);
	report_sleep(log, &sources->reader);
	cprof_heap_report_pages(sources);
}
