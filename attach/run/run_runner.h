/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/run_runner.h - may a mode be used on processes that an emulator or a recorder runs? And what is said of it.
 *
 * What runs a process is found by attach/target/runner.h.
 */
#ifndef CPROF_ATTACH_RUN_RUN_RUNNER_H
#define CPROF_ATTACH_RUN_RUN_RUNNER_H

#include "attach/run/run.h"
#include "cprof/error.h"

/* What a mode does with a process. */
enum cprof_run_effect {
	CPROF_RUN_COUNTS, /* says what the processor does: under an emulator that is the emulator */
	CPROF_RUN_LOOKS,  /* says what the program's threads are at */
	CPROF_RUN_CHANGES, /* puts something into its code */
};

/*
 * NULL, with a warning in the log where names and times are not the program's own; else UNSUPPORTED naming the tool. Targets
 * that have not begun yet are not looked at. Does not stop anybody.
 */
struct cprof_error *cprof_run_check_runner(const struct cprof_run *run,
					   enum cprof_run_effect effect);

#endif
