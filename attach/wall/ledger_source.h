/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/wall/ledger_source.h - who keeps the accounts of threads: one const struct each, in ledger_source_bpf.c (the
 * scheduler's events, exact) and ledger_source_proc.c (its statistics in /proc, for who may have no events).
 */
#ifndef CPROF_ATTACH_WALL_LEDGER_SOURCE_H
#define CPROF_ATTACH_WALL_LEDGER_SOURCE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach/run/run.h"
#include "attach/wall/ledger.h"
#include "cprof/error.h"

struct cprof_ledger_source {
	const char *name;

	/*
	 * `run` is borrowed, and of one target. Changes are seen from now on; with `timed` also when they were. Errors: DENIED, UNSUPPORTED, OS,
	 * NO_TARGET, NO_MEMORY.
	 */
	struct cprof_error *(*open)(const struct cprof_run *run, bool timed, void **ret_state);
	void (*close)(void *state);

	/* The window has begun, and will be over at `end_ns` (CLOCK_MONOTONIC; UINT64_MAX: nobody knows). Time is told in such steps. */
	void (*start)(void *state, uint64_t start_ns, uint64_t end_ns, uint64_t step_ns);
	/*
	 * It was over at `end_ns`: what comes later does not count. Returns when it was over indeed: a moment later, where that was not
	 * known beforehand and changes have been counted since.
	 */
	uint64_t (*stop)(void *state, uint64_t end_ns);

	/* While it lasts, as often as pause_ns says: threads come and go. Ended ones go to `ledger`. */
	struct cprof_error *(*poll)(void *state, struct cprof_ledger *ledger);
	uint64_t (*pause_ns)(const void *state);

	/* Between polls: whether the process stands still now (stand_still.h). NULL: events tell it. */
	bool (*stands_still)(void *state, uint64_t mono_ns);

	/* A thread was born, or has ended, at `mono_ns`, where events tell. NULL: it sees for itself. */
	void (*tell)(void *state, pid_t tid, bool born, uint64_t mono_ns);

	/* All accounts, those of threads that live too. Once: after stop(), or so far in a copy of this process. */
	struct cprof_error *(*finish)(void *state, struct cprof_ledger *ledger);
};

extern const struct cprof_ledger_source cprof_ledger_source_bpf;
extern const struct cprof_ledger_source cprof_ledger_source_proc;

#endif
