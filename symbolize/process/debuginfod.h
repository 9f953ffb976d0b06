/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/process/debuginfod.h - debug files from servers, where the user asked for it.
 *
 * Owns the time that is spent on it: a limit for each file and one for all together. The protocol and its cache are
 * elfutils' client library's, which is loaded when it is first needed, so that nobody who does not ask depends on it.
 * Servers are those in DEBUGINFOD_URLS; the variable's absence is an answer, not an error.
 *
 * Source of truth: debuginfod_find_debuginfo(3).
 */
#ifndef CPROF_SYMBOLIZE_PROCESS_DEBUGINFOD_H
#define CPROF_SYMBOLIZE_PROCESS_DEBUGINFOD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cprof_debuginfod {
	/* For people, while waiting; may be NULL. */
	void (*say)(void *ctx, const char *text);
	void *say_ctx;
	uint64_t file_limit_ns, total_limit_ns; /* 0: 30 s, 90 s */

	/* Private. */
	void *library, *client;
	uint64_t spent_ns, deadline_ns, said_ns;
	long said_kb;
	bool said_broken;
	int broken; /* why nothing more is asked: 0, or one of the reasons in debuginfod.c */
};

/*
 * An open descriptor (the caller's) on the debug file for `build_id` of the program `name`, or -1; then `why` says why, in words. Blocks while
 * it downloads, never after its limits.
 */
int cprof_debuginfod_find(struct cprof_debuginfod *debuginfod, const char *name,
			  const uint8_t *build_id, size_t len, char *why, size_t why_size);

void cprof_debuginfod_deinit(struct cprof_debuginfod *debuginfod);

#endif
