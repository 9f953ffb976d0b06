/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/targets/target_ids.h - a set of process ids.
 */
#ifndef CPROF_ATTACH_TARGETS_TARGET_IDS_H
#define CPROF_ATTACH_TARGETS_TARGET_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Zeros are an empty one. */
struct cprof_target_ids {
	pid_t *pids; /* owned; ascending */
	size_t n, cap;
};

void cprof_target_ids_deinit(struct cprof_target_ids *ids);
bool cprof_target_ids_has(const struct cprof_target_ids *ids, pid_t pid);

/* Adding one that is there, or removing one that is not, changes nothing. False: no memory. */
bool cprof_target_ids_add(struct cprof_target_ids *ids, pid_t pid);
void cprof_target_ids_remove(struct cprof_target_ids *ids, pid_t pid);

/* Leaves those for which `wanted` holds. */
void cprof_target_ids_keep(struct cprof_target_ids *ids, bool (*wanted)(const void *ctx, pid_t pid),
			   const void *ctx);

#endif
