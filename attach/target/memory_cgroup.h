/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/memory_cgroup.h - how much memory a process's control groups let it have yet, whoever set the limit.
 *
 * A page that becomes resident in a process is charged to its memory cgroup and to every one above; the one with the least room
 * left decides, and what happens when there is none is that somebody in it is killed. Owns both versions of cgroups (1: limit,
 * limit with swap, kernel memory; 2: max and high), and where they are found: as mounted here, else as the process has them.
 *
 * Sources: cgroups(7), cgroup_namespaces(7), proc(5) "/proc/pid/mountinfo"; Documentation/admin-guide/cgroup-v2.rst "Memory
 * Interface Files", cgroup-v1/memory.rst.
 */
#ifndef CPROF_ATTACH_TARGET_MEMORY_CGROUP_H
#define CPROF_ATTACH_TARGET_MEMORY_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cprof/error.h"

struct cprof_memory_room {
	bool limited;                     /* false: no limit anywhere, and nothing below counts */
	uint64_t limit_bytes, used_bytes; /* of the one with the least room */
	uint64_t reclaimable_bytes;       /* of the used: pages of files that can be dropped */
	char knob[64];                    /* "memory.max": the file that holds the limit */
	char group[256];                  /* its directory, as seen from here */
};

/* What can be had before the limit is reached; UINT64_MAX without one. */
uint64_t cprof_memory_room_left(const struct cprof_memory_room *room);

/*
 * The tightest of them all for `pid`. Reads a few small files; does not stop the target. Errors: DENIED (it is in a memory
 * cgroup, and that cannot be read from here), NO_TARGET, NO_MEMORY.
 */
struct cprof_error *cprof_memory_cgroup_room(pid_t pid, struct cprof_memory_room *ret_room);

/* What has happened in a group since it is there. */
struct cprof_memory_events {
	bool known;
	uint64_t high, max; /* how often a limit was met; version 1 counts the second only */
	uint64_t oom_kill;  /* processes of it that the kernel killed for want of memory */
};

/* ---- the parts, which need no process ---- */

struct cprof_memory_cgroup {
	bool v2;
	char dir[4096];   /* of the process's group */
	size_t mount_len; /* of `dir`, what is the mount point: the uppermost that is seen */
	size_t wild; /* so many names behind that are not known: `dir` is a glob(7) pattern, "MOUNT/ * /a" without the spaces */
};

enum cprof_memory_cgroup_found {
	CPROF_MEMORY_CGROUP_FOUND,
	CPROF_MEMORY_CGROUP_NONE,   /* it is in no memory cgroup but the root, which has no limit */
	CPROF_MEMORY_CGROUP_HIDDEN, /* it is in one that is not mounted in `mountinfo` */
};

/*
 * From the texts of /proc/PID/cgroup and of some process's mountinfo. `root` comes before its mount points: "" or
 * "/proc/PID/root".
 */
enum cprof_memory_cgroup_found cprof_memory_cgroup_find(const char *cgroup, const char *mountinfo,
							const char *root,
							struct cprof_memory_cgroup *ret_group);

/*
 * Which group `pid` is in; filled where *ret_found says FOUND. Its directory is the kernel's. Errors: NO_TARGET, NO_MEMORY.
 */
struct cprof_error *cprof_memory_cgroup_of(pid_t pid, struct cprof_memory_cgroup *ret_group,
					   enum cprof_memory_cgroup_found *ret_found);

/* memory.events, or memory.oom_control and memory.failcnt. Not known where the group is gone, or is the root. */
void cprof_memory_cgroup_events(const struct cprof_memory_cgroup *group,
				struct cprof_memory_events *ret_events);

/* The tightest from group->dir up to the mount point. Files that are not there limit nothing. */
void cprof_memory_cgroup_look(const struct cprof_memory_cgroup *group,
			      struct cprof_memory_room *ret_room);

#endif
