/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/continuous/continuous.h - processes that are profiled for ever: modes, windows without a gap, and who comes and goes.
 *
 * Owns the loop. Who is profiled is attach/targets/target_set.h's to say, what records is attach/serve/recording.h, and where
 * windows go is the caller's. Nothing here waits for a network or for a target.
 */
#ifndef CPROF_ATTACH_CONTINUOUS_CONTINUOUS_H
#define CPROF_ATTACH_CONTINUOUS_CONTINUOUS_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/continuous/cut.h"
#include "attach/modes/mode.h"
#include "attach/serve/metrics_server.h"
#include "attach/target/target.h"
#include "attach/targets/target_rules.h"
#include "cprof/error.h"

/* Borrowed, all of it. */
struct cprof_continuous {
	const struct cprof_target_rules *rules;
	const char *modes; /* "cpu,heap" */
	uint64_t
		every_ns; /* the length of a window; the first and the last of a process are shorter */
	uint64_t length_ns; /* of all; 0: until it is told to end */
	const struct cprof_mode_requests *requests;
	struct cprof_run_naming naming;
	struct cprof_thread_choice *threads; /* borrowed; as in run.h */
	struct cprof_run_request_labels request_labels;
	const char *command_line;
	int stop_fd;  /* readable: end */
	int again_fd; /* an eventfd; readable: look again at what was told; -1: never */
	struct cprof_metrics_server *metrics; /* is answered meanwhile; NULL: there is none */
	/*
	 * After that: the rules as they are now, or NULL: end, because the caller begins anew with other options.
	 */
	const struct cprof_target_rules *(*again)(void *ctx);
	/* A window that is over; its bytes are the callee's to copy. Must not wait long. */
	void (*window)(void *ctx, const struct cprof_target *target, const char *mode,
		       const struct cprof_cut *cut);
	/* In each turn, before ended children are reaped, the caller's among them. */
	void (*look)(void *ctx);
	void (*say)(void *ctx, const char *text); /* a line for people */
	void *ctx;
};

/* What became of it. */
struct cprof_continuous_counts {
	uint64_t windows, empty; /* handed over; in which nothing happened, and which were not */
	uint64_t
		troubles; /* recordings and windows that could not be had; each kind was said once */
	uint64_t targets; /* that came */
};

/*
 * Until it is told to end, its time is over, or nobody is left of processes that were named by their ids. Then each target is left as it was found
 * and its last windows are handed over; at most 5 s. Errors: USAGE (a mode), those of cprof_target_set_open(), OS; NO_MEMORY, which ends it.
 */
struct cprof_error *cprof_continuous_run(const struct cprof_continuous *continuous,
					 struct cprof_continuous_counts *ret_counts);

#endif
