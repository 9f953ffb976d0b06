/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/serve/metrics_server.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "convert/http/http_service.h"

#define CLIENTS_MAX (CPROF_METRICS_SERVER_FDS - 1)
#define REQUEST_NS  (75 * CPROF_NS_PER_S)
#define ANSWER_NS   (10 * CPROF_NS_PER_S)

struct cprof_metrics_server {
	struct cprof_http_service service;
	cprof_metrics_put_fn *put;
	void *ctx;
};

/* ---- requests ---- */

static void on_ask(void *ctx, struct cprof_http_request *request)
{
	struct cprof_metrics_server *server = ctx;
	struct cprof_http_answer answer = { .status = 200,
					    .content_type = "text/plain; charset=utf-8" };
	if (strcmp(request->path, "/metrics") == 0) {
		answer.content_type = "text/plain; version=0.0.4; charset=utf-8";
		server->put(server->ctx, &answer.body);
	} else if (strcmp(request->path, "/healthz") == 0) {
		cprof_buffer_puts(&answer.body, "ok\n");
	} else {
		answer.status = 404;
		cprof_buffer_puts(&answer.body, "404 page not found: here are /metrics and "
						"/healthz; profiles are pushed\n");
	}
	cprof_http_server_answer(request, &answer);
}

/* Each is answered when it asks. */
static void on_gone(void *ctx, struct cprof_http_request *request)
{
	(void)ctx;
	(void)request;
}

/* ---- life ---- */

static struct cprof_error *begin(struct cprof_metrics_server *server, const char *address,
				 const char *token_file)
{
	static const struct cprof_http_limits limits = { .clients = CLIENTS_MAX,
							 .request_ns = REQUEST_NS,
							 .answer_ns = ANSWER_NS };
	const struct cprof_http_handler handler = { on_ask, on_gone, server };
	return cprof_http_service_open(&server->service, address, token_file, &limits, &handler);
}

struct cprof_error *cprof_metrics_server_open(const char *address, const char *token_file,
					      cprof_metrics_put_fn *put, void *ctx,
					      struct cprof_metrics_server **ret_server)
{
	struct cprof_metrics_server *server = calloc(1, sizeof(*server));
	if (!server)
		return cprof_error_no_memory();
	server->service = CPROF_HTTP_SERVICE_NONE;
	server->put = put;
	server->ctx = ctx;
	struct cprof_error *err = begin(server, address, token_file);
	if (err)
		cprof_metrics_server_close(server);
	else
		*ret_server = server;
	return err;
}

void cprof_metrics_server_close(struct cprof_metrics_server *server)
{
	if (!server)
		return;
	cprof_http_service_close(&server->service);
	free(server);
}

const char *cprof_metrics_server_url(const struct cprof_metrics_server *server)
{
	return cprof_buffer_text(&server->service.url);
}

/* ---- the owner's loop ---- */

size_t cprof_metrics_server_poll(const struct cprof_metrics_server *server, struct pollfd *fds,
				 size_t n)
{
	return server ? cprof_http_server_poll(server->service.http, fds, n,
					       n + CPROF_METRICS_SERVER_FDS)
		      : n;
}

uint64_t cprof_metrics_server_due_mono_ns(const struct cprof_metrics_server *server)
{
	return server ? cprof_http_server_due_mono_ns(server->service.http) : UINT64_MAX;
}

void cprof_metrics_server_run(struct cprof_metrics_server *server, const struct pollfd *fds,
			      size_t n)
{
	if (server)
		cprof_http_service_run(&server->service, fds, n);
}
