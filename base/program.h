/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/program.h - what a program may take for granted, whoever has started it and how.
 *
 * Sources: setrlimit(2) "RLIMIT_FSIZE": SIGXFSZ ends a process that does not catch it, else write(2) fails with EFBIG; open(2): the
 * lowest descriptor that is free, which is 1 or 2 where a shell has closed it (2>&-), so that what is said would go into a file.
 */
#ifndef CPROF_BASE_PROGRAM_H
#define CPROF_BASE_PROGRAM_H

#include "cprof/error.h"

/*
 * For programs, first of all: descriptors 0 to 2 are nobody else's (reading or writing those that were closed fails with EBADF, as
 * before), and a write beyond a limit is an error. Programs that are started later get what we were started with.
 */
void cprof_program_start(void);

/*
 * All signals that would end us and can be caught: people, terminals, timers, limits (ulimit -t) and batch systems send some of
 * them. Ends with 0.
 */
extern const int cprof_program_ending_signals[];

/* Last of all, where nobody has looked whether all that was written to stdout has arrived. */
struct cprof_error *cprof_program_end(void);

#endif
