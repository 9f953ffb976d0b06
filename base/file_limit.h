/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/file_limit.h - a write beyond the limit for files (ulimit -f) is an error like others.
 *
 * Source: setrlimit(2) "RLIMIT_FSIZE": SIGXFSZ ends a process that does not catch it, else write(2) fails with EFBIG.
 */
#ifndef CPROF_BASE_FILE_LIMIT_H
#define CPROF_BASE_FILE_LIMIT_H

/* For programs, first of all. Programs that are started later get what we were started with. */
void cprof_file_limit_is_error(void);

#endif
