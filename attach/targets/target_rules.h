/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/targets/target_rules.h - which processes are meant: by id, name, control group, unit, descent, or all.
 *
 * Knows no process: it is told what one is like. Who has one that is meant open is target_set.h.
 *
 * Sources: fnmatch(3); cgroups(7) "/proc/[pid]/cgroup"; systemd.unit(5): the group of a unit is named after it, below its slice,
 * below user@UID.service where it is a user's.
 */
#ifndef CPROF_ATTACH_TARGETS_TARGET_RULES_H
#define CPROF_ATTACH_TARGETS_TARGET_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "cprof/buffer.h"

/* Borrowed, all of it. A process is meant when one of these holds. */
struct cprof_target_rules {
	const pid_t *pids;
	size_t n_pids;
	const char *const *
		names; /* patterns, of its comm, of its program's base name, or of the whole path with a '/' */
	size_t n_names;
	const char *const
		*groups; /* control groups: "/system.slice/x.service"; those below count too */
	size_t n_groups;
	const char *const
		*units; /* patterns: "postgresql@*.service"; without a dot ".service" is meant */
	size_t n_units;
	bool all;      /* whoever may be looked at */
	bool children; /* and what those start */
};

/* What a process is like; "" where that cannot be seen. */
struct cprof_target_traits {
	const char *comm, *exe; /* `exe`: the path of its program */
	const char *
		cgroups; /* the text of /proc/PID/cgroup; only looked at if cprof_target_rules_want_groups() */
};

/* By what it is like; its id is another matter. */
bool cprof_target_rules_match(const struct cprof_target_rules *rules,
			      const struct cprof_target_traits *traits);
bool cprof_target_rules_has_pid(const struct cprof_target_rules *rules, pid_t pid);
bool cprof_target_rules_want_groups(const struct cprof_target_rules *rules);

/* Others than those that run now can be meant. */
bool cprof_target_rules_are_open(const struct cprof_target_rules *rules);

/* Only processes are named that have to be there: ids, and names that are no patterns. */
bool cprof_target_rules_are_exact(const struct cprof_target_rules *rules);

/*
 * A group as the text of /proc/PID/cgroup calls it, appended to `out`: a directory below a mount point of `mountinfo` (the text of
 * /proc/self/mountinfo) loses that, another one is taken as it is, with one '/' before and none behind.
 */
void cprof_target_rules_group_path(const char *mountinfo, const char *path,
				   struct cprof_buffer *out);

#endif
