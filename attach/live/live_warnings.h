/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/live/live_warnings.h - what a recording warns of, window after window, told once.
 *
 * Warnings travel as comments of a window's profile (attach/run/session.h). Numbers in them grow from window to window, so two that
 * differ in digits alone are the same.
 */
#ifndef CPROF_ATTACH_LIVE_LIVE_WARNINGS_H
#define CPROF_ATTACH_LIVE_LIVE_WARNINGS_H

#include <stddef.h>
#include <stdint.h>

#include "cprof/buffer.h"
#include "cprof/profile.h"

#define CPROF_LIVE_WARNINGS_MAX 64 /* kinds that are told */

/* A zeroed struct has none. */
struct cprof_live_warnings {
	uint64_t seen[CPROF_LIVE_WARNINGS_MAX]; /* hashes */
	size_t n_seen;
	struct cprof_buffer last; /* owned; all those of the last profile, a line each */
};

void cprof_live_warnings_deinit(struct cprof_live_warnings *warnings);

/* Those of the next window; the ones that were not there before are appended to `fresh`, parted by "; ". */
void cprof_live_warnings_take(struct cprof_live_warnings *warnings,
			      const struct cprof_profile *profile, struct cprof_buffer *fresh);

#endif
