/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/formats/perf_script_line.h - one line of the text of `perf script`: what kind it is, and what it says.
 *
 * Which of its fields perf prints is the user's choice (perf script -F), so only a sample's order is sure: program,
 * ids, processor, time, period, event, and then its frames, on lines of their own if there are callers. Putting lines
 * together into samples is read_perf_script.c's. Source of truth: perf-script(1), "-F, --fields".
 */
#ifndef CPROF_CONVERT_FORMATS_PERF_SCRIPT_LINE_H
#define CPROF_CONVERT_FORMATS_PERF_SCRIPT_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cprof_perf_script_kind {
	CPROF_PERF_SCRIPT_OTHER,  /* none of these */
	CPROF_PERF_SCRIPT_END,    /* empty: a sample ends */
	CPROF_PERF_SCRIPT_IGNORE, /* a comment, or a record that is no sample */
	CPROF_PERF_SCRIPT_HEADER, /* a sample begins */
	CPROF_PERF_SCRIPT_FRAME,
	CPROF_PERF_SCRIPT_SOURCE, /* file and line of the frame before */
};

/* A stretch of the line. */
struct cprof_perf_script_text {
	const char *at;
	size_t n;
};

struct cprof_perf_script_frame {
	uint64_t address;
	struct cprof_perf_script_text name; /* without its offset; empty where perf knows none */
	struct cprof_perf_script_text file; /* the program or library */
	bool inlined;
};

struct cprof_perf_script_line {
	enum cprof_perf_script_kind kind;

	/* Of a header; what perf does not print is empty. */
	struct cprof_perf_script_text comm, event;
	int64_t tid, period;
	bool has_tid, has_time, has_period,
		has_frame; /* has_frame: the only one, on the same line */

	struct cprof_perf_script_frame frame;

	/* Of a source line; 0 where perf knows none. */
	struct cprof_perf_script_text source;
	int64_t source_line;
};

/* Everything in `*ret` is borrowed from `line`. */
void cprof_perf_script_line_read(const char *line, struct cprof_perf_script_line *ret);

#endif
