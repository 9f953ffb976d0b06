/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/web/web_server.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/work.h"
#include "convert/http/http_service.h"

#define CLIENTS_MAX 128
#define FDS_MAX     (2 + CPROF_WEB_VISITS_MAX + 1 + CLIENTS_MAX)

struct server {
	struct cprof_web *web;
	struct cprof_http_service service;
	int stop_fd, watch_fd;
	struct pollfd fds[FDS_MAX];
	size_t n, http_fds; /* from http_fds on they are the HTTP server's */
};

static void on_ask(void *ctx, struct cprof_http_request *request)
{
	struct server *server = ctx;
	const char *path = request->path;
	if (strcmp(path, "/ui") == 0)
		path = "/";
	else if (strncmp(path, "/ui/", 4) == 0)
		path += 3;
	cprof_web_ask(server->web, request, path);
}

static void on_gone(void *ctx, struct cprof_http_request *request)
{
	struct server *server = ctx;
	cprof_web_gone(server->web, request);
}

static void wait_for_more(struct server *server)
{
	uint64_t due = cprof_web_due(server->web)
			       ? 0
			       : cprof_http_server_due_mono_ns(server->service.http);
	const uint64_t now = cprof_clock_mono_ns();
	uint64_t wait = due > now ? due - now : 0;
	wait = wait < 60 * CPROF_NS_PER_S ? wait : 60 * CPROF_NS_PER_S;
	const struct timespec timeout = { .tv_sec = (time_t)(wait / CPROF_NS_PER_S),
					  .tv_nsec = (long)(wait % CPROF_NS_PER_S) };
	server->n = 0;
	server->fds[server->n++] = (struct pollfd){ .fd = server->stop_fd, .events = POLLIN };
	server->fds[server->n++] = (struct pollfd){ .fd = server->watch_fd, .events = POLLIN };
	server->n = server->http_fds = cprof_web_poll(server->web, server->fds, server->n);
	server->n = cprof_http_server_poll(server->service.http, server->fds, server->n, FDS_MAX);
	if (ppoll(server->fds, server->n, &timeout, NULL) <= 0) {
		for (size_t i = 0; i < server->n; i++)
			server->fds[i].revents = 0;
	}
}

/* False: it is told to end. */
static bool turn(struct server *server)
{
	wait_for_more(server);
	if (server->fds[0].revents)
		return false;
	cprof_http_server_run(server->service.http, &server->fds[server->http_fds],
			      server->n - server->http_fds);
	cprof_web_run(server->web);
	cprof_http_server_run(server->service.http, NULL,
			      0); /* what has been answered goes out at once */
	cprof_work_reap(server->watch_fd);
	return true;
}

static struct cprof_error *open_server(struct server *server,
				       const struct cprof_web_server_options *options)
{
	static const struct cprof_http_limits limits = { .clients = CLIENTS_MAX,
							 .request_ns = 75 * CPROF_NS_PER_S,
							 .answer_ns = 60 * CPROF_NS_PER_S,
							 .body_bytes = CPROF_WEB_BODY_BYTES };
	const struct cprof_http_handler handler = { on_ask, on_gone, server };
	struct cprof_error *err = cprof_http_service_open(&server->service, options->address,
							  options->token_file, &limits, &handler);
	if (!err)
		options->ready(options->ctx, cprof_buffer_text(&server->service.url));
	return err;
}

struct cprof_error *cprof_web_server_run(struct cprof_web *web,
					 const struct cprof_web_server_options *options)
{
	CPROF_AUTO(close) int watch_fd = -1;
	CPROF_AUTO(free) struct server *server = calloc(1, sizeof(*server));
	if (!server)
		return cprof_error_no_memory();
	struct cprof_error *err = cprof_work_watch(&watch_fd);
	if (err)
		return err;
	server->web = web;
	server->stop_fd = options->stop_fd;
	server->watch_fd = watch_fd;
	server->service = CPROF_HTTP_SERVICE_NONE;
	err = open_server(server, options);
	while (!err && turn(server))
		;
	cprof_http_service_close(&server->service);
	return err;
}
