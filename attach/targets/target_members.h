/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/targets/target_members.h - the processes that are meant and there: a list in the order of their ids, each with a descriptor that
 * tells of its end.
 */
#ifndef CPROF_ATTACH_TARGETS_TARGET_MEMBERS_H
#define CPROF_ATTACH_TARGETS_TARGET_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach/target/target.h"
#include "cprof/error.h"

struct cprof_target_member {
	pid_t pid;
	uint64_t start_ticks;
	int pidfd;   /* owned */
	dev_t dev;   /* of its program, and */
	ino_t inode; /* 0: it could not be seen */
	bool stays;  /* named by its id, or a child of a member: it needs no name */
};

/* A zeroed struct is an empty list. Nothing here stops a target. */
struct cprof_target_members {
	struct cprof_target_member *items; /* owned; ascending by id */
	size_t n, cap;
};

void cprof_target_members_deinit(struct cprof_target_members *members);

/* Where `pid` is, or would be. */
size_t cprof_target_members_place(const struct cprof_target_members *members, pid_t pid);

/* NULL: it is none. Valid until the next one is added or removed. */
struct cprof_target_member *cprof_target_members_find(const struct cprof_target_members *members,
						      pid_t pid);

/*
 * `target`, which stays the caller's, becomes a member; `epoll_fd` tells of its end with its id as data. Errors: OS (no more
 * descriptors), NO_MEMORY.
 */
struct cprof_error *cprof_target_members_add(struct cprof_target_members *members, int epoll_fd,
					     const struct cprof_target *target, bool stays);
void cprof_target_members_remove(struct cprof_target_members *members, int epoll_fd,
				 struct cprof_target_member *member);

#endif
