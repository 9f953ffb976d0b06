/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/targets/target_scan.h - who runs on this machine, as /proc lists it, and what has come since the last look.
 *
 * A look costs one listing of /proc, and the caller's own cost for whoever is new. An id that was there at the last look may be
 * another process by now, or run another program: by turns everybody is handed out again, all within so many looks.
 */
#ifndef CPROF_ATTACH_TARGETS_TARGET_SCAN_H
#define CPROF_ATTACH_TARGETS_TARGET_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "cprof/error.h"

struct cprof_target_scan {
	pid_t *pids; /* owned; ascending; of the last look */
	size_t n;
	size_t turn; /* who is handed out again at the next look: every `turns`th from here */
};

void cprof_target_scan_deinit(struct cprof_target_scan *scan);

/* `fn` is told of each that is new, and of every `turns`th other (1: all of them). Errors: OS, NO_MEMORY; the next look makes good for it. */
struct cprof_error *cprof_target_scan_look(struct cprof_target_scan *scan, size_t turns,
					   void (*fn)(void *ctx, pid_t pid), void *ctx);

/* Whether `pid` was there at the last look. */
bool cprof_target_scan_has(const struct cprof_target_scan *scan, pid_t pid);

#endif
