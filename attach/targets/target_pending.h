/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/targets/target_pending.h - processes that were told of (target_news.h) and are to be looked at, a moment later.
 *
 * What ends within that moment is not worth a look, and neither is what a process was before it became another one. The oldest come
 * first, so that parents come before their children.
 */
#ifndef CPROF_ATTACH_TARGETS_TARGET_PENDING_H
#define CPROF_ATTACH_TARGETS_TARGET_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Zeros are an empty one. */
struct cprof_target_pending {
	struct cprof_target_pending_one {
		pid_t pid, parent;
	} * all; /* owned */
	size_t n, cap;
	uint64_t due_mono_ns; /* where there are some */
};

void cprof_target_pending_deinit(struct cprof_target_pending *pending);

/* False: there are too many, and it is not among them. */
bool cprof_target_pending_add(struct cprof_target_pending *pending, pid_t pid, pid_t parent);

/* Hand out some of them, if they are due; `fn` adds none. */
void cprof_target_pending_take(struct cprof_target_pending *pending, uint64_t mono_ns,
			       void (*fn)(void *ctx, pid_t pid, pid_t parent), void *ctx);

#endif
