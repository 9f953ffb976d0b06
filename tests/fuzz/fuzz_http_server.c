/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/fuzz_http_server.c - what a client sends, as it comes over a socket: the whole server, with a handler that reads
 * each request and answers it, at once or a turn later.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attach/serve/ask.h"
#include "convert/http/http_address.h"
#include "convert/http/http_server.h"

#define FDS_MAX 64
#define TURNS   4

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static struct cprof_http_server *server;
static struct cprof_http_address address;
static struct cprof_http_request *waiting; /* is answered in the next turn; one at most */

static void answer(struct cprof_http_request *request)
{
	struct cprof_http_answer made = { .status = 200, .content_type = "text/plain" };
	struct cprof_ask ask;
	cprof_ask_read(request, &ask);
	cprof_buffer_printf(&made.body, "%s %d\n", request->path, (int)ask.kind);
	cprof_ask_deinit(&ask);
	cprof_http_server_answer(request, &made);
}

static void on_ask(void *ctx, struct cprof_http_request *request)
{
	(void)ctx;
	if (waiting || request->n_body % 2)
		answer(request);
	else
		waiting = request;
}

static void on_gone(void *ctx, struct cprof_http_request *request)
{
	(void)ctx;
	if (waiting != request)
		abort(); /* it was answered, or was never asked */
	waiting = NULL;
}

static void turn(void)
{
	struct pollfd fds[FDS_MAX];
	const size_t n = cprof_http_server_poll(server, fds, 0, FDS_MAX);
	poll(fds, (nfds_t)n, 0);
	cprof_http_server_run(server, fds, n);
	struct cprof_http_request *late = waiting;
	waiting = NULL;
	if (late)
		answer(late);
	cprof_http_server_run(server, NULL, 0);
}

static void start(void)
{
	static const struct cprof_http_handler handler = { on_ask, on_gone, NULL };
	static const struct cprof_http_limits limits = { .clients = 8,
							 .request_ns = 1000000000,
							 .answer_ns = 1000000000 };
	char name[64];
	int fd;
	snprintf(name, sizeof(name), "unix:/tmp/cprof-fuzz-http-%d", (int)getpid());
	if (cprof_http_address_parse(name, &address) || cprof_http_address_listen(&address, &fd) ||
	    cprof_http_server_new(fd, false, &limits, &handler, &server))
		abort();
}

/* It listens on; the name is gone when we are. */
static int connected(void)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address.addr, address.len) != 0)
		abort();
	return fd;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	char got[4096];
	if (!server)
		start();
	const int fd = connected();
	/* In two pieces, as a slow client sends. */
	ssize_t sent = send(fd, data, size / 2, MSG_NOSIGNAL);
	turn();
	if (sent >= 0)
		sent = send(fd, data + sent, size - (size_t)sent, MSG_NOSIGNAL);
	for (unsigned i = 0; i < TURNS; i++) {
		turn();
		while (recv(fd, got, sizeof(got), 0) > 0)
			continue;
	}
	close(fd);
	/* What was done for it ends with it. */
	for (unsigned i = 0; i < 100 && (waiting || cprof_http_server_clients(server)); i++)
		turn();
	if (cprof_http_server_clients(server))
		abort();
	return 0;
}
