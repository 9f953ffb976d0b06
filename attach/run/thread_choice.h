/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/thread_choice.h - which threads of the targets belong to a profile: those whose names match, and those of a list of ids.
 *
 * A mode asks for each sample (cprof_session_wants(), session.h), since threads come, go and take other names while it samples. A NULL choice
 * is everybody. It also remembers whether anybody was chosen at all, for the note that tells of a profile which is empty because of a
 * misspelt name.
 */
#ifndef CPROF_ATTACH_RUN_THREAD_CHOICE_H
#define CPROF_ATTACH_RUN_THREAD_CHOICE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "attach/target/target.h"
#include "cprof/buffer.h"
#include "cprof/error.h"

struct cprof_thread_choice;

/*
 * `pattern` is in RE2's syntax and may match anywhere in a name; NULL: none. `tids` is a list as typed, "12,13"; NULL: none. At least one is
 * given. Errors: USAGE (no expression, no id), NO_MEMORY.
 */
struct cprof_error *cprof_thread_choice_new(const char *pattern, const char *tids,
					    struct cprof_thread_choice **ret_choice);
void cprof_thread_choice_free(struct cprof_thread_choice *choice);

/* Whether the thread is one of them. `choice` may be NULL. */
bool cprof_thread_choice_has(struct cprof_thread_choice *choice, pid_t tid, const char *name);

/*
 * What the targets have of it now: an id that none of them has is an error (NO_TARGET); a pattern that matches nobody yet is told in `ret_remark`,
 * with the names that there are, since threads may come later. Nothing for a NULL choice. Reads /proc only.
 */
struct cprof_error *cprof_thread_choice_check(struct cprof_thread_choice *choice,
					      struct cprof_target *const *targets, size_t n,
					      struct cprof_buffer *ret_remark);

/* Whether it had anybody so far. */
bool cprof_thread_choice_was_met(const struct cprof_thread_choice *choice);

/* "-threads 'io-.*' -tid 7", for notes. */
void cprof_thread_choice_describe(const struct cprof_thread_choice *choice,
				  struct cprof_buffer *out);

#endif
