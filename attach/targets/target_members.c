/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/targets/target_members.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "attach/targets/target_looks.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/search.h"

void cprof_target_members_deinit(struct cprof_target_members *members)
{
	for (size_t i = 0; i < members->n; i++)
		close(members->items[i].pidfd);
	free(members->items);
	*members = (struct cprof_target_members){ 0 };
}

size_t cprof_target_members_place(const struct cprof_target_members *members, pid_t pid)
{
	return CPROF_SEARCH(i, members->n, members->items[i].pid < pid);
}

struct cprof_target_member *cprof_target_members_find(const struct cprof_target_members *members,
						      pid_t pid)
{
	const size_t at = cprof_target_members_place(members, pid);
	return at < members->n && members->items[at].pid == pid ? &members->items[at] : NULL;
}

struct cprof_error *cprof_target_members_add(struct cprof_target_members *members, int epoll_fd,
					     const struct cprof_target *target, bool stays)
{
	struct cprof_target_member member = { .pid = target->pid,
					      .start_ticks = target->start_ticks,
					      .stays = stays };
	struct epoll_event wanted = { .events = EPOLLIN, .data = { .u64 = (uint64_t)target->pid } };
	CPROF_AUTO(close) int pidfd = fcntl(target->pidfd, F_DUPFD_CLOEXEC, 0);
	if (pidfd < 0)
		return cprof_error_os(errno, "a descriptor for process %d", (int)target->pid);
	if (!CPROF_ARRAY_ROOM(members->items, members->n, members->cap, 1))
		return cprof_error_no_memory();
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, pidfd, &wanted) != 0)
		return cprof_error_os(errno, "wait for process %d", (int)target->pid);
	member.pidfd = cprof_take_fd(&pidfd);
	cprof_target_looks_program(target->pid, &member.dev, &member.inode);
	const size_t at = cprof_target_members_place(members, target->pid);
	memmove(members->items + at + 1, members->items + at,
		(members->n - at) * sizeof(*members->items));
	members->items[at] = member;
	members->n++;
	return NULL;
}

void cprof_target_members_remove(struct cprof_target_members *members, int epoll_fd,
				 struct cprof_target_member *member)
{
	/* Closing alone would not do: who was given the target has the same process open. */
	epoll_ctl(epoll_fd, EPOLL_CTL_DEL, member->pidfd, NULL);
	close(member->pidfd);
	memmove(member, member + 1,
		(size_t)(members->items + members->n - (member + 1)) * sizeof(*member));
	members->n--;
}
