/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/environment.h - the environment, where it may be somebody else's than the rights that we have.
 *
 * A program with file capabilities (setcap) or a set-user-ID bit runs with rights that its caller has not. The kernel says so
 * in the auxiliary vector (getauxval(3), AT_SECURE); the loader then drops LD_PRELOAD and its like, but HOME, TMPDIR,
 * XDG_..., PATH, http_proxy, DEBUGINFOD_URLS, SSLKEYLOGFILE and what other libraries look at would still steer what we read
 * and write with those rights.
 */
#ifndef CPROF_BASE_ENVIRONMENT_H
#define CPROF_BASE_ENVIRONMENT_H

#include <stdbool.h>

/*
 * First thing in main(): where our rights are not our caller's, keep only what says how to write text (LANG, LC_..., TERM,
 * COLUMNS, NO_COLOR), with a PATH of the system's own directories. Otherwise nothing is changed. False: no memory.
 */
bool cprof_environment_secure(void);

/* What the caller's environment was, for a command that is started for the caller, as the caller. Borrowed. */
char **cprof_environment_of_caller(void);

#endif
