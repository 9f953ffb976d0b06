/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/runner.h - by what a process is run, if not by the processor and the kernel alone: emulators, translators,
 * instrumenting tools, recorders.
 *
 * Under an emulator the code of the program is data: what is put into it is not executed as it is, and the stacks that can be seen
 * are the tool's. Known by the program that the process really executes, by files that such tools map, and by its tracer.
 * Debuggers and strace leave a program to the processor; that they hold it is ptrace.h's to say.
 */
#ifndef CPROF_ATTACH_TARGET_RUNNER_H
#define CPROF_ATTACH_TARGET_RUNNER_H

#include <stdbool.h>
#include <sys/types.h>

#include "cprof/error.h"

enum cprof_runner_kind {
	CPROF_RUNNER_NONE,
	CPROF_RUNNER_EMULATES, /* it executes code of its own making; the program's stacks are elsewhere */
	CPROF_RUNNER_MINDS, /* the program runs itself, but somebody relies on each of its instructions */
};

struct cprof_runner {
	enum cprof_runner_kind kind;
	const char *name; /* for people; static; NULL for NONE */
};

/* What runs `pid`. What cannot be read says nothing. Errors: NO_MEMORY. */
struct cprof_error *cprof_runner_find(pid_t pid, struct cprof_runner *ret_runner);

/* The parts: by the base name of a program, by the text of /proc/PID/maps, by the base name of a tracer's program. */
struct cprof_runner cprof_runner_by_program(const char *base);
struct cprof_runner cprof_runner_by_maps(const char *maps);
struct cprof_runner cprof_runner_by_tracer(const char *base);

#endif
