/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/web/recordings.h - the profiles that the web view holds: those from the command line, recorded since, and uploaded.
 *
 * Each has a number that stays its own. Of those that came later the newest are kept, as many as there is room for in memory; the
 * first ones stay.
 */
#ifndef CPROF_CONVERT_WEB_RECORDINGS_H
#define CPROF_CONVERT_WEB_RECORDINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cprof/error.h"
#include "cprof/profile.h"

#define CPROF_WEB_RECORDINGS_MAX   16
#define CPROF_WEB_RECORDINGS_BYTES (1ull << 30) /* of memory, for those that came later */
#define CPROF_WEB_KEYS_MAX         200u         /* of labels, in the page's menus */

struct cprof_web_recording {
	unsigned number;               /* from 1 */
	char *name;                    /* owned */
	struct cprof_profile *profile; /* owned */
	uint64_t bytes;                /* that it takes in memory, nearly */
	/* What every page says of it, looked up once: keys of labels in the order in which they first stand, whether one tells the time. */
	uint32_t keys[CPROF_WEB_KEYS_MAX], n_keys;
	bool is_timed;
};

/* Zeroed: there are none. */
struct cprof_web_recordings {
	struct cprof_web_recording at[CPROF_WEB_RECORDINGS_MAX];
	size_t n, n_first;   /* of those the first n_first stay */
	uint64_t most_bytes; /* 0: CPROF_WEB_RECORDINGS_BYTES */
	unsigned last_number;
};

/* Whether a profile that comes later can be held at all. Errors: UNSUPPORTED. */
struct cprof_error *cprof_web_recordings_check(const struct cprof_web_recordings *recordings,
					       const struct cprof_profile *profile);

/*
 * Takes `profile`, also on error; `*ret_number` (may be NULL) is its number. `stays`: it is never dropped for another, however large
 * it is. Errors: those of cprof_web_recordings_check(), NO_MEMORY.
 */
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
