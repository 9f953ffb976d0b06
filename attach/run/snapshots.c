/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/snapshots.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/work_result.h"
#include "base/cleanup.h"

#define ASKS_MAX 32 /* answered by one copy */

struct ask {
	int fd; /* owned: where the answer goes */
	size_t n;
	uint8_t bytes[CPROF_SNAPSHOT_ASK];
};

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

/* ---- answering ---- */

/* False: no (more) asks. */
static bool take_ask(struct cprof_snapshots *snapshots, struct ask *ask)
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
	if (n <= 0 || message.msg_controllen < CMSG_LEN(sizeof(int)) ||
	    control.head.cmsg_type != SCM_RIGHTS)
		return false;
	memcpy(&ask->fd, CMSG_DATA(&control.head), sizeof(int));
	ask->n = (size_t)n;
	return true;
}

static bool is_at_work(pid_t *copy)
{
	if (*copy && waitpid(*copy, NULL, WNOHANG) != 0)
		*copy = 0;
	return *copy != 0;
}

static pid_t *free_place(struct cprof_snapshots *snapshots)
{
	pid_t *place = NULL;
	for (size_t i = 0; i < CPROF_SNAPSHOT_COPIES; i++) {
		if (!is_at_work(&snapshots->copies[i]))
			place = &snapshots->copies[i];
	}
	return place;
}

int cprof_snapshots_fd(struct cprof_snapshots *snapshots)
{
	return free_place(snapshots) ? snapshots->ask_fd : -1;
}

/* One profile for all who asked at the same time; each gets a copy in its form. */
static struct cprof_error *answer(const struct cprof_snapshots *snapshots, const struct ask *ask,
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
work(const struct cprof_snapshots *snapshots, const struct ask *asks, size_t n,
     struct cprof_error *(*finish)(void *ctx, struct cprof_profile **ret_profile), void *ctx,
     pid_t parent)
{
	struct cprof_profile *profile = NULL;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "cprof-snapshot");
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

struct cprof_error *
cprof_snapshots_take(struct cprof_snapshots *snapshots,
		     struct cprof_error *(*finish)(void *ctx, struct cprof_profile **ret_profile),
		     void *ctx)
{
	struct ask asks[ASKS_MAX];
	size_t n = 0;
	pid_t *place = snapshots && snapshots->ask_fd >= 0 ? free_place(snapshots) : NULL;
	while (place && n < ASKS_MAX && snapshots->ask_fd >= 0 && take_ask(snapshots, &asks[n]))
		n++;
	if (!n)
		return NULL;
	const pid_t parent = getpid();
	const pid_t copy = fork();
	const int os_errno = errno;
	if (copy == 0)
		work(snapshots, asks, n, finish, ctx, parent);
	for (size_t i = 0; i < n; i++)
		close(asks[i].fd);
	if (copy < 0)
		return cprof_error_os(os_errno, "fork");
	*place = copy;
	return NULL;
}

void cprof_snapshots_end(struct cprof_snapshots *snapshots)
{
	for (size_t i = 0; i < CPROF_SNAPSHOT_COPIES; i++) {
		if (!is_at_work(&snapshots->copies[i]))
			continue;
		kill(snapshots->copies[i], SIGKILL);
		waitpid(snapshots->copies[i], NULL, 0);
		snapshots->copies[i] = 0;
	}
}
