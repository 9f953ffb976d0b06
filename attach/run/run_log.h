/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/run_log.h - what a run tells people: counts as they grow, and notes worth a line of text.
 *
 * Filled by modes and the session, shown by main.c (progress line, end summary, -v) and carried into the
 * profile's comments by the session. Nothing here prints.
 */
#ifndef CPROF_ATTACH_RUN_RUN_LOG_H
#define CPROF_ATTACH_RUN_RUN_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"
#include "cprof/stack.h"

struct cprof_counts {
	uint64_t samples;   /* events kept; in the heap mode allocations sampled, in block waits */
	uint64_t lost;      /* known to have been missed: ring full, throttled */
	uint64_t truncated; /* stacks whose walk did not reach the outermost frame, */
	uint64_t stops[CPROF_STOP_N]; /* and how all of them ended */
	uint64_t threads;             /* of all targets, now */
	uint64_t stacks;              /* distinct ones, so far */
	uint64_t
		locations; /* distinct ones, and how many of them got a function name (after the window) */
	uint64_t named;
	uint64_t
		put_back; /* frames of functions that had left by a tail call, in distinct stacks */
	uint64_t left_out;        /* files not read, or not all of them, because of the budget */
	uint64_t oom_kills;       /* targets that were killed because memory ran out (-on-oom) */
	uint64_t deadlocks;       /* cycles of threads that wait for each other, in all snapshots */
	uint64_t cpu_ns;          /* of a recording: processor time of ours, snapshots included */
	uint64_t slowed;          /* 1: it samples less often now than asked for (sample_pace.h) */
	uint64_t prefetch_cpu_ns; /* processor time of children of ours that prepared names */
};

/* Samples, losses, how walks ended, and the time it took. */
void cprof_counts_add(struct cprof_counts *sum, const struct cprof_counts *counts);

enum cprof_note_kind {
	CPROF_NOTE_DETAIL, /* shown with -v: which strategy was taken, what was skipped on the way */
	CPROF_NOTE_PLAIN,  /* a line on stderr unless -q */
	CPROF_NOTE_FACT,   /* the same, and a comment in the profile: what was done to the target */
	CPROF_NOTE_WARNING, /* the same, marked, and a comment: what is lacking in the profile */
	CPROF_NOTE_FOUND,   /* the same as a warning, of the target: nothing is lacking */
};

struct cprof_run_log {
	struct cprof_counts counts;
	struct cprof_note {
		enum cprof_note_kind kind;
		char *text; /* owned */
		bool shown; /* main.c's */
	} * notes;          /* owned */
	size_t n_notes, cap_notes;

	/* The file that most of the addresses without a name are of; a path of NULL: none is worth a word. */
	struct cprof_unnamed {
		char *root, *path; /* owned; as in struct cprof_module */
		uint64_t locations;
	} unnamed;
};

/* Is it marked as a warning where it is shown? */
static inline bool cprof_note_warns(enum cprof_note_kind kind)
{
	return kind == CPROF_NOTE_WARNING || kind == CPROF_NOTE_FOUND;
}

/* A zeroed struct is an empty log. */
void cprof_run_log_deinit(struct cprof_run_log *log);

/*
 * Add a line, which may go on in lines that are indented by two spaces; the same text twice is kept once. Running out of
 * memory loses the line, nothing else.
 */
void cprof_run_log_note(struct cprof_run_log *log, enum cprof_note_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
