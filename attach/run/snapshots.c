/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/snapshots.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/work_result.h"
#include "base/cleanup.h"

#define ASKS_MAX 32 /* answered by one copy */

/* ---- asking ---- */

struct cprof_error *cprof_snapshots_ask(int fd, const void *ask, size_t n, int *ret_result_fd)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return cprof_error_os(errno, "pipe2");
	CPROF_AUTO(close) int reads = ends[0];
	CPROF_AUTO(close) int writes = ends[1];
	fcntl(reads, F_SETFL, O_NONBLOCK);
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	uint8_t copy[CPROF_SNAPSHOT_ASK];
	memcpy(copy, ask, n);
	struct iovec data = { copy, n };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = control.room,
				  .msg_controllen = sizeof(control.room) };
	control.head = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
					 .cmsg_level = SOL_SOCKET,
					 .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.head), &writes, sizeof(int));
	if (sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return cprof_error_os(errno, "ask the recording for a profile");
	*ret_result_fd = cprof_take_fd(&reads);
	return NULL;
}

struct cprof_error *cprof_snapshots_tell(int fd, const void *bytes, size_t n)
{
	if (send(fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return cprof_error_os(errno, "tell the recording");
	return NULL;
}

/* ---- answering ---- */

/* False: no (more) asks. */
static bool take_ask(struct cprof_snapshots *snapshots, struct cprof_snapshot_ask *ask)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec data = { ask->bytes, sizeof(ask->bytes) };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = control.room,
				  .msg_controllen = sizeof(control.room) };
	const ssize_t n = recvmsg(snapshots->ask_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n == 0)
		snapshots->ask_fd = -1; /* nobody will ask any more */
	if (n <= 0)
		return false;
	ask->fd = -1;
	ask->n = (size_t)n;
	if (message.msg_controllen >= CMSG_LEN(sizeof(int)) && control.head.cmsg_type == SCM_RIGHTS)
		memcpy(&ask->fd, CMSG_DATA(&control.head), sizeof(int));
	return true;
}

static void forget(struct cprof_snapshot_copy *copy)
{
	if (copy->fd >= 0)
		close(copy->fd);
	*copy = (struct cprof_snapshot_copy){ 0 };
}

static bool is_at_work(struct cprof_snapshot_copy *copy)
{
	if (copy->pid && waitpid(copy->pid, NULL, WNOHANG) != 0)
		forget(copy);
	return copy->pid != 0;
}

static struct cprof_snapshot_copy *free_place(struct cprof_snapshots *snapshots)
{
	struct cprof_snapshot_copy *place = NULL;
	for (size_t i = 0; i < CPROF_SNAPSHOT_COPIES; i++) {
		if (!is_at_work(&snapshots->copies[i]))
			place = &snapshots->copies[i];
	}
	return place;
}

int cprof_snapshots_fd(struct cprof_snapshots *snapshots)
{
	return free_place(snapshots) ? snapshots->ask_fd : snapshots->copies[0].fd;
}

/* One profile for all who asked at the same time; each gets a copy in its form. */
static struct cprof_error *answer(const struct cprof_snapshots *snapshots,
				  const struct cprof_snapshot_ask *ask,
				  const struct cprof_profile *profile)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	struct cprof_profile *copy = NULL;
	struct cprof_error *err = cprof_profile_copy(profile, &copy);
	if (!err)
		err = snapshots->form(snapshots->form_ctx, ask->bytes, ask->n, copy, &bytes);
	cprof_work_result_send(ask->fd, err, &bytes);
	return err;
}

_Noreturn static void
work(const struct cprof_snapshots *snapshots, const struct cprof_snapshot_ask *asks, size_t n,
     struct cprof_error *(*finish)(void *ctx, struct cprof_profile **ret_profile), void *ctx,
     pid_t parent)
{
	struct cprof_profile *profile = NULL;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "cprof-snapshot");
	if (snapshots->begin)
		snapshots->begin(snapshots->form_ctx, asks[0].bytes, asks[0].n);
	struct cprof_error *err = getppid() == parent ? finish(ctx, &profile) : NULL;
	for (size_t i = 0; i < n; i++) {
		if (err)
			cprof_work_result_send(asks[i].fd, err, NULL);
		else if (profile)
			cprof_error_free(answer(snapshots, &asks[i], profile));
		close(asks[i].fd);
	}
	_exit(0);
}

bool cprof_snapshots_place(struct cprof_snapshots *snapshots)
{
	return free_place(snapshots) != NULL;
}

bool cprof_snapshots_next(struct cprof_snapshots *snapshots, struct cprof_snapshot_ask *ret_ask)
{
	return snapshots && snapshots->ask_fd >= 0 && free_place(snapshots) &&
	       take_ask(snapshots, ret_ask);
}

void cprof_snapshots_refuse(const struct cprof_snapshot_ask *ask, struct cprof_error *err)
{
	cprof_work_result_send(ask->fd, err, NULL);
	cprof_error_free(err);
	close(ask->fd);
}

struct cprof_error *cprof_snapshots_answer(
	struct cprof_snapshots *snapshots, const struct cprof_snapshot_ask *asks, size_t n,
	struct cprof_error *(*finish)(void *ctx, struct cprof_profile **ret_profile), void *ctx)
{
	struct cprof_snapshot_copy *place = free_place(snapshots);
	const pid_t parent = getpid();
	const pid_t copy = place ? fork() : -1;
	const int os_errno = place ? errno : EAGAIN;
	if (copy == 0)
		work(snapshots, asks, n, finish, ctx, parent);
	for (size_t i = 0; i < n; i++)
		close(asks[i].fd);
	if (copy < 0)
		return cprof_error_os(os_errno, "fork");
	*place = (struct cprof_snapshot_copy){ copy, (int)syscall(SYS_pidfd_open, copy, 0u) };
	return NULL;
}

static bool answer_at_once(const struct cprof_snapshots *snapshots,
			   const struct cprof_snapshot_ask *ask)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	if (!snapshots->at_once ||
	    !snapshots->at_once(snapshots->form_ctx, ask->bytes, ask->n, &bytes))
		return false;
	cprof_work_result_send(ask->fd, NULL, &bytes);
	close(ask->fd);
	return true;
}

struct cprof_error *
cprof_snapshots_take(struct cprof_snapshots *snapshots,
		     struct cprof_error *(*finish)(void *ctx, struct cprof_profile **ret_profile),
		     void *ctx)
{
	const size_t most = snapshots && snapshots->begin ? 1 : ASKS_MAX;
	struct cprof_snapshot_ask asks[ASKS_MAX];
	struct cprof_error *err = NULL;
	size_t n = 0;
	for (size_t i = 0; !err && i < ASKS_MAX && cprof_snapshots_next(snapshots, &asks[n]); i++) {
		if (asks[n].fd >= 0 && !answer_at_once(snapshots, &asks[n]))
			n++;
		if (n < most)
			continue;
		err = cprof_snapshots_answer(snapshots, asks, n, finish, ctx);
		n = 0;
	}
	return n ? cprof_snapshots_answer(snapshots, asks, n, finish, ctx) : err;
}

bool cprof_snapshots_want_last(const struct cprof_snapshots *snapshots)
{
	return !snapshots || snapshots->last || (snapshots->last_of && snapshots->last_of->exited);
}

void cprof_snapshots_end(struct cprof_snapshots *snapshots)
{
	for (size_t i = 0; i < CPROF_SNAPSHOT_COPIES; i++) {
		if (!is_at_work(&snapshots->copies[i]))
			continue;
		kill(snapshots->copies[i].pid, SIGKILL);
		waitpid(snapshots->copies[i].pid, NULL, 0);
		forget(&snapshots->copies[i]);
	}
}
