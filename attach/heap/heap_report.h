/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/heap_report.h - what a run says of how it watched allocators: which functions, by which means, at what cost.
 *
 * Owns the words; they go to the run's log, for the summary and the profile's comments. After the detach.
 */
#ifndef CPROF_ATTACH_HEAP_HEAP_REPORT_H
#define CPROF_ATTACH_HEAP_HEAP_REPORT_H

#include "attach/heap/heap_sources.h"

/* Of an attach that came to nothing: whether anybody was stopped for that. */
void cprof_heap_report_failed_attach(const struct cprof_heap_sources *sources);

/* What was watched, and what that cost the target. */
void cprof_heap_report_means(const struct cprof_heap_sources *sources);

/* What of ours is in the process still. The same is said once. */
void cprof_heap_report_pages(const struct cprof_heap_sources *sources);

/* What was not seen, and what could not be put back. */
void cprof_heap_report_losses(const struct cprof_heap_sources *sources);

#endif
