/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/container.h - which container a process is in, by the names of its control groups.
 *
 * Container engines name the group after the container's id (64 hexadecimal digits, in the last part or before ".scope"), and
 * Kubernetes a group above it after the pod. Source of truth: cgroups(7) "/proc/[pid]/cgroup"; the names are the engines' habit.
 */
#ifndef CPROF_ATTACH_TARGET_CONTAINER_H
#define CPROF_ATTACH_TARGET_CONTAINER_H

#include <sys/types.h>

struct cprof_container {
	char id[65];  /* "" where there is none */
	char pod[37]; /* a UUID; "" where there is none */
};

/* Out of the text of such a file, whoever wrote the names in it. */
struct cprof_container cprof_container_read(const char *cgroups);

/* Of a process; nothing where that cannot be seen. */
struct cprof_container cprof_container_of(pid_t pid);

#endif
