/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/web/recordings.h - the profiles that the web view holds: those from the command line, recorded since, and uploaded.
 *
 * Each has a number that stays its own. Of those that came later the newest are kept; the first ones stay.
 */
#ifndef CPROF_CONVERT_WEB_RECORDINGS_H
#define CPROF_CONVERT_WEB_RECORDINGS_H

#include <stddef.h>
#include <stdio.h>

#include "cprof/error.h"
#include "cprof/profile.h"

#define CPROF_WEB_RECORDINGS_MAX 16

struct cprof_web_recording {
	unsigned number;               /* from 1 */
	char *name;                    /* owned */
	struct cprof_profile *profile; /* owned */
};

struct cprof_web_recordings {
	struct cprof_web_recording at[CPROF_WEB_RECORDINGS_MAX];
	size_t n, n_first; /* of those the first n_first stay */
	unsigned last_number;
};

/* Takes `profile`, also on error; `*ret_number` (may be NULL) is its number. `stays`: it is never dropped for another. */
struct cprof_error *cprof_web_recordings_add(struct cprof_web_recordings *recordings,
					     struct cprof_profile *profile, const char *name,
					     bool stays, unsigned *ret_number);
void cprof_web_recordings_deinit(struct cprof_web_recordings *recordings);

/* NULL: there is none of that number, or no more. */
const struct cprof_web_recording *
cprof_web_recordings_find(const struct cprof_web_recordings *recordings, unsigned number);

/* Its profile, for the caller to own: the recording is empty from now on. NULL: there is none of that number. */
struct cprof_profile *cprof_web_recordings_take(struct cprof_web_recordings *recordings,
						unsigned number);

/* As a JSON array. */
void cprof_web_recordings_put(const struct cprof_web_recordings *recordings, FILE *out);

#endif
