/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/locks/wait_names.h - the functions that people know as those that wait, and that end waits.
 *
 * Owns two tables of names: of the C library, C++, GLib, Rust, Go, OpenMP's run-times, ... Leading underscores and
 * symbol versions are no part of a name. What the numbers of a call say is wait_kind.h's; what is left where no name is
 * known, wait_settle.h's. Source of truth: those libraries, as they ran.
 */
#ifndef CPROF_ATTACH_LOCKS_WAIT_NAMES_H
#define CPROF_ATTACH_LOCKS_WAIT_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "attach/locks/wait_kind.h"

#define CPROF_WAIT_NAMES_MAX 24

/*
 * The kind, where the numbers say `by_number`. `names` are the functions from the innermost outwards, inlined ones
 * included, as in the profile; CPROF_WAIT_NAMES_MAX of them suffice. `*ret_entry` is the index of the function that
 * users know as the one that waits ("pthread_mutex_lock"): what is further in is of no interest. 0 where nothing was
 * recognized; `*ret_known` says whether something was.
 */
enum cprof_wait_kind cprof_wait_names_tell(enum cprof_wait_kind by_number, const char *const *names,
					   size_t n_names, size_t *ret_entry, bool *ret_known);

/* The same for the stack of a release: "pthread_mutex_unlock". `by_number` is what the waiters' call said. */
enum cprof_wait_kind cprof_wait_names_tell_release(enum cprof_wait_kind by_number,
						   const char *const *names, size_t n_names,
						   size_t *ret_entry, bool *ret_known);

/* Whether a function of this name is one that users know as waiting (`releases`: as ending waits). */
bool cprof_wait_names_know(const char *name, bool releases);

#endif
