/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/targets/target_looks.h - what a process is like, as /proc shows it: its name, its program, its control groups, its parent.
 *
 * What cannot be seen is "" or 0. Whether it is meant is target_rules.h's to say.
 *
 * Sources: proc(5).
 */
#ifndef CPROF_ATTACH_TARGETS_TARGET_LOOKS_H
#define CPROF_ATTACH_TARGETS_TARGET_LOOKS_H

#include <stdbool.h>
#include <sys/types.h>

#include "cprof/buffer.h"

struct cprof_target_looks {
	char comm[64], exe[4096];
	struct cprof_buffer cgroups; /* owned; the text of /proc/PID/cgroup */
};

/* Into zeros; without `groups` these are not read. */
void cprof_target_looks_read(pid_t pid, bool groups, struct cprof_target_looks *looks);
void cprof_target_looks_deinit(struct cprof_target_looks *looks);

/* The file of its program; zeros where that cannot be seen. */
void cprof_target_looks_program(pid_t pid, dev_t *ret_dev, ino_t *ret_inode);

/* 0: it has none, or has ended. */
pid_t cprof_target_looks_parent(pid_t pid);

#endif
