/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/targets/target_news.h"

#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

#define DATAGRAM_MAX 4096
#define AT_ONCE      4096              /* datagrams in one reading */
#define ROOM         (4 * 1024 * 1024) /* of the socket, for bursts */

static struct cprof_error *refused(int why, const char *what)
{
	if (why == EPERM || why == EACCES)
		return cprof_error_os(why, "%s", what);
	struct cprof_error *err =
		cprof_error_new(CPROF_ERR_UNSUPPORTED, "%s: %s", what, strerror(why));
	return err;
}

/* Ask to be told. */
static int listen_to(int fd)
{
	const enum proc_cn_mcast_op op = PROC_CN_MCAST_LISTEN;
	const struct cn_msg message = { .id = { .idx = CN_IDX_PROC, .val = CN_VAL_PROC },
					.len = sizeof(op) };
	uint8_t ask[sizeof(struct nlmsghdr) + sizeof(message) + sizeof(op)];
	const struct nlmsghdr head = { .nlmsg_len = sizeof(ask), .nlmsg_type = NLMSG_DONE };
	memcpy(ask, &head, sizeof(head));
	memcpy(ask + sizeof(head), &message, sizeof(message));
	memcpy(ask + sizeof(head) + sizeof(message), &op, sizeof(op));
	return send(fd, ask, sizeof(ask), 0) == (ssize_t)sizeof(ask) ? 0 : errno;
}

struct cprof_error *cprof_target_news_open(struct cprof_target_news *news)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC };
	const int room = ROOM;
	*news = (struct cprof_target_news){ .fd = -1 };
	CPROF_AUTO(close)
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR);
	if (fd < 0)
		return refused(errno, "a socket of the process connector");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		return refused(errno, "bind to the process connector");
	const int why = listen_to(fd);
	if (why)
		return refused(why, "listen to the process connector");
	news->fd = cprof_take_fd(&fd);
	return NULL;
}

void cprof_target_news_close(struct cprof_target_news *news)
{
	if (news->fd >= 0)
		close(news->fd);
	news->fd = -1;
}

static void tell(const struct proc_event *event, cprof_target_news_fn *fn, void *ctx)
{
	switch ((unsigned)event->what) {
	case PROC_EVENT_FORK:
		if (event->event_data.fork.child_pid == event->event_data.fork.child_tgid)
			fn(ctx, event->event_data.fork.child_tgid,
			   event->event_data.fork.parent_tgid);
		break;
	case PROC_EVENT_EXEC:
		fn(ctx, event->event_data.exec.process_tgid, 0);
		break;
	case PROC_EVENT_COMM:
		if (event->event_data.comm.process_pid == event->event_data.comm.process_tgid)
			fn(ctx, event->event_data.comm.process_tgid, 0);
		break;
	default:
		break;
	}
}

void cprof_target_news_parse(const uint8_t *bytes, size_t n, cprof_target_news_fn *fn, void *ctx)
{
	struct nlmsghdr head;
	struct cn_msg message;
	while (n >= sizeof(head) + sizeof(message)) {
		memcpy(&head, bytes, sizeof(head));
		memcpy(&message, bytes + sizeof(head), sizeof(message));
		if (head.nlmsg_len < sizeof(head) + sizeof(message) || head.nlmsg_len > n)
			return;
		const size_t got = head.nlmsg_len - sizeof(head) - sizeof(message);
		struct proc_event event;
		memset(&event, 0, sizeof(event));
		memcpy(&event, bytes + sizeof(head) + sizeof(message),
		       got < sizeof(event) ? got : sizeof(event));
		if (message.id.idx == CN_IDX_PROC && message.id.val == CN_VAL_PROC &&
		    got >= offsetof(struct proc_event, event_data) + sizeof(event.event_data.fork))
			tell(&event, fn, ctx);
		const size_t step = NLMSG_ALIGN(head.nlmsg_len);
		if (step >= n)
			return;
		bytes += step;
		n -= step;
	}
}

bool cprof_target_news_read(struct cprof_target_news *news, cprof_target_news_fn *fn, void *ctx)
{
	uint8_t bytes[DATAGRAM_MAX];
	for (size_t i = 0; i < AT_ONCE; i++) {
		struct sockaddr_nl from = { 0 };
		socklen_t from_len = sizeof(from);
		const ssize_t n = recvfrom(news->fd, bytes, sizeof(bytes), MSG_TRUNC,
					   (struct sockaddr *)&from, &from_len);
		if (n < 0 && errno == ENOBUFS)
			return false;
		if (n < 0)
			return true;
		/* From the kernel, and not from another process that can send to a group. */
		if (from.nl_pid != 0 || (size_t)n > sizeof(bytes))
			continue;
		news->proven = true;
		cprof_target_news_parse(bytes, (size_t)n, fn, ctx);
	}
	return true;
}
