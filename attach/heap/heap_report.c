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
		cprof_run_log_note(log, CPROF_NOTE_DETAIL, "hooked %s at 0x%" PRIx64 " in %s%s",
				   hook->entry.name, hook->entry.addr, hook->entry.map->path,
				   hook->patch.at_entry ? ", at its first byte" : "");
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
	if (sources->by_uprobe.none_why)
		cprof_run_log_note(sources->log, CPROF_NOTE_WARNING,
				   "what cannot be patched is not watched by uprobes either: %s",
				   sources->by_uprobe.none_why);
}

static void report_stops(struct cprof_run_log *log, const struct cprof_heap_install *install)
{
	if (!install->patched)
		cprof_run_log_note(log, CPROF_NOTE_PLAIN,
				   "no thread was stopped, nothing was injected");
	else
		cprof_run_log_note(
			log, CPROF_NOTE_PLAIN,
			"threads stood still %.1f ms for the attach and %.1f ms for the detach; "
			"%u entry points hooked, %u restored",
			(double)install->attach_ns / 1e6, (double)install->detach_ns / 1e6,
			install->patched, install->restored);
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
	report_uprobes(sources, by_uprobe, slow);
	report_stops(sources->log, &sources->install);
}

/* ---- losses ---- */

static void report_pages(const struct cprof_heap_sources *sources)
{
	const struct cprof_heap_install *install = &sources->install;
	if (install->page_kept)
		cprof_run_log_note(
			sources->log, CPROF_NOTE_WARNING,
			"the injected page stays mapped, because %s (nothing leads to it any "
			"more); remove it later with cprof-attach -repair %d",
			install->kept_why, (int)install->target->pid);
	if (install->lost_objects)
		cprof_run_log_note(
			sources->log, CPROF_NOTE_WARNING,
			"%u hooked functions were unmapped or changed by somebody else and "
			"were not restored",
			install->lost_objects);
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
	if (sources->reader.slept)
		cprof_run_log_note(log, CPROF_NOTE_WARNING,
				   "cprof-attach could not keep up and sampling paused %" PRIu64
				   " times: raise -rate",
				   sources->reader.slept);
	report_pages(sources);
}
