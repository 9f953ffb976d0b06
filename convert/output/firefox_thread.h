/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/firefox_thread.h - one thread of a file for the Firefox Profiler: its samples, waits and tables.
 *
 * Source: firefox-devtools/profiler, src/types/profile.ts and docs-developer/CHANGELOG-formats.md, at version 56 of the processed format: each thread has
 * tables of its own, and one array of strings is shared by all.
 */
#ifndef CPROF_CONVERT_OUTPUT_FIREFOX_THREAD_H
#define CPROF_CONVERT_OUTPUT_FIREFOX_THREAD_H

#include <stdint.h>
#include <stdio.h>

#include "convert/graph/node_info.h"
#include "convert/output/timed_samples.h"
#include "cprof/error.h"

/* Places in meta.categories. */
enum { CPROF_FIREFOX_OTHER, CPROF_FIREFOX_USER, CPROF_FIREFOX_KERNEL, CPROF_FIREFOX_BLOCKED };

/* What all threads share; everything is borrowed. */
struct cprof_firefox {
	const struct cprof_report *report;
	const struct cprof_node_infos *infos;
	const struct cprof_timed_samples *timed;
	const char *weight_type; /* "tracing-ms", "bytes" or "samples" */
	double weight_unit;      /* of the values, for one of that */
	int cpu_type,
		wait_type; /* sample types in nanoseconds, for the load and for waits; -1: none */
	int64_t main_pid;  /* of threads that do not say */

	/* shared.stringArray: the profile's strings that frames use, then "Wait". -1: not there. */
	int32_t *string_of; /* by string of the profile */
	uint32_t n_strings;
	uint32_t *
		name_of; /* by info: the string that is its function's name, of those or behind them */
	int32_t *lib_of; /* by string of the profile: libs and resources are numbered alike */
	uint32_t n_libs;
};

/* Write thread `index` as a JSON object. Errors: NO_MEMORY. */
struct cprof_error *cprof_firefox_thread_put(const struct cprof_firefox *firefox, uint32_t index,
					     FILE *out);

#endif
