/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/code/code_known.h - functions of the C library that are known to come back by their own return, or never.
 *
 * POSIX says which calls are no cancellation points (XSH "Thread Cancellation") and the C standard which have no reason to
 * jump; what is on the list is neither, and throws nothing.
 */
#ifndef CPROF_ATTACH_HEAP_CODE_CODE_KNOWN_H
#define CPROF_ATTACH_HEAP_CODE_CODE_KNOWN_H

#include <stdbool.h>

/* It returns to its caller, or ends the process. `name` is as in a symbol table, an "@..." behind it does not count. */
bool cprof_code_known_returns(const char *name);

/* It never comes back: nothing behind a call of it is executed. Not all of these are among those above (longjmp). */
bool cprof_code_known_ends(const char *name);

#endif
