/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/run.h - what every mode is given: whose window, which processes, how to name, where to put what people read.
 *
 * What only one mode needs is in that mode's request. Whoever wants a profile fills both: the command line does, and so
 * can a server; no mode knows which. Everything is borrowed and outlives the run.
 */
#ifndef CPROF_ATTACH_RUN_RUN_H
#define CPROF_ATTACH_RUN_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "attach/run/run_log.h"
#include "attach/run/sample_ring.h"
#include "attach/run/thread_choice.h"
#include "attach/run/window.h"
#include "attach/target/target.h"
#include "cprof/demangle.h"
#include "cprof/module.h"
#include "cprof/symbolizer_way.h"

/* A label that every sample bears. */
struct cprof_run_label {
	const char *key, *value;
};

struct cprof_run_naming {
	enum cprof_symbolizer_way symbolizer;
	enum cprof_demangle demangle;
	bool no_inlines;
	bool debuginfod;       /* servers may be asked for missing debug files */
	uint64_t budget;       /* limits on what files may cost, times this (budget.h); 0 is 1 */
	const char *cache_dir; /* of names of earlier profiles; NULL: no cache */
};

/* Whether samples say when they were (timeline.h). */
struct cprof_run_timeline {
	bool on;
	bool asked;         /* by the user: it is told, and few buckets are better than none */
	bool any_size;      /* the file is about times: it may be as large as it gets */
	uint64_t bucket_ns; /* how finely; 0: as the file allows (timeline_fit.h) */
};

/* What of a program's own labels of its requests goes into a profile (attach/context/contexts.h). */
enum cprof_request_labels {
	CPROF_REQUEST_LABELS_OFF,
	CPROF_REQUEST_LABELS_ATTRIBUTES, /* all but ids of traces and spans, of which there are as many as requests */
	CPROF_REQUEST_LABELS_ALL,
};

struct cprof_run_request_labels {
	enum cprof_request_labels what;
	bool asked; /* by the user: it is told where there are none */
};

struct cprof_run {
	struct cprof_target **targets;
	size_t n_targets;
	struct cprof_window *window;
	struct cprof_run_log *log; /* filled by the mode and the session */
	struct cprof_run_naming naming;
	const struct cprof_run_label *labels;
	size_t n_labels;
	struct cprof_sample_ring *
		ring; /* keep the last samples with their times, and make profiles of these; NULL: of all */
	bool children; /* processes that targets start belong to the profile: samples say whose they are */
	struct cprof_thread_choice *threads; /* whose samples count; NULL: everybody's */
	struct cprof_run_timeline timeline;
	struct cprof_run_request_labels request_labels;
	const char *command_line; /* for the profile's comments, without secrets; may be NULL */
	struct cprof_modules
		*modules; /* that it shares with others of this process; NULL: its own */
	struct cprof_session_prefetch *prefetch; /* goes with them (session_prefetch.h) */
};

#endif
