/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/profile/guessed.h - functions that stand in some stack because of a guess, as a profile says it.
 *
 * Where code has no unwind information its caller is read off the code, which can be wrong (docs/unwinding.md). A pprof file has no
 * place for that at a frame, so it is a comment for each function, "#guessed frame: NAME": reports do not show comments that begin
 * with '#', and a merge of profiles has those of all.
 */
#ifndef CPROF_CONVERT_PROFILE_GUESSED_H
#define CPROF_CONVERT_PROFILE_GUESSED_H

#include <stdint.h>

#include "cprof/error.h"
#include "cprof/profile.h"

#define CPROF_GUESSED_MAX 100 /* functions that are told of a profile */

/* One function more; once it is there, nothing is done. Errors: NO_MEMORY. */
struct cprof_error *cprof_guessed_add(struct cprof_profile *profile, const char *function);

/* The name in a comment's text, or NULL: it is about something else. Borrowed from the text. */
const char *cprof_guessed_function(const char *comment);

#endif
