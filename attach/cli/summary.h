/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/summary.h - the texts of a run for people: the live line, and what came out at the end. Prints nothing.
 */
#ifndef CPROF_ATTACH_CLI_SUMMARY_H
#define CPROF_ATTACH_CLI_SUMMARY_H

#include "attach/run/run_log.h"
#include "attach/run/window.h"
#include "cprof/buffer.h"

/* "12 s left, 1,200 samples, 0 lost, 4 threads, 0.1 % truncated" without a newline. */
void cprof_summary_progress(const struct cprof_window *window, const struct cprof_counts *counts,
			    struct cprof_buffer *out);

/*
 * Make one line fit a terminal of `columns`, 0 unknown: parts between ", " are left out from the end, the first one is cut. The
 * last column stays free, for some terminals go on to the next line with it.
 */
void cprof_summary_fit(struct cprof_buffer *line, unsigned columns);

/* Break the lines of `text` that are too long at ", ", for a terminal of `columns`; 0 unknown: as they are. */
void cprof_summary_wrap(struct cprof_buffer *text, unsigned columns);

/* Why the window ended earlier than asked, as a sentence; "" if it did not. */
const char *cprof_summary_ending(const struct cprof_window *window);

/* The end summary, a few lines. `path` may be NULL (no file was kept); for a profile it says what to do with it next. */
void cprof_summary_end(const struct cprof_counts *counts, uint64_t own_cpu_ns, const char *path,
		       size_t bytes, bool is_profile, struct cprof_buffer *out);

/* One line, without a newline, on the file that most addresses without a name are of, and `advice` (may be "") on it. */
void cprof_summary_nameless(const struct cprof_run_log *log, const char *advice,
			    struct cprof_buffer *out);

#endif
