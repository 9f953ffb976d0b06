/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/ring/ring_server.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "convert/http/http_service.h"

#define CLIENTS_MAX (CPROF_RING_SERVER_FDS - 1)
#define REQUEST_NS  (75 * CPROF_NS_PER_S)
#define ANSWER_NS   (60 * CPROF_NS_PER_S)

struct cprof_ring_server {
	struct cprof_http_service service;
	struct cprof_http_request *waiting[CLIENTS_MAX]; /* for a profile */
	size_t n_waiting;
	cprof_ring_server_trigger_fn *trigger;
	void *ctx;
};

/* ---- requests ---- */

static void answer_text(struct cprof_http_request *request, unsigned status, const char *text)
{
	struct cprof_http_answer answer = { .status = status,
					    .content_type = "text/plain; charset=utf-8",
					    .no_store = true };
	cprof_buffer_puts(&answer.body, text);
	cprof_http_server_answer(request, &answer);
}

static void on_ring(struct cprof_ring_server *server, struct cprof_http_request *request)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	if (strcmp(request->method, "POST") == 0) {
		server->trigger(server->ctx, &text);
		answer_text(request, 202, cprof_buffer_text(&text));
	} else if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0) {
		answer_text(request, 405, "GET is a profile of the last seconds, POST triggers\n");
	} else if (server->n_waiting == CLIENTS_MAX) {
		answer_text(request, 503, "too many are waiting for a profile\n");
	} else {
		server->waiting[server->n_waiting++] = request;
	}
}

static void on_ask(void *ctx, struct cprof_http_request *request)
{
	if (strcmp(request->path, "/debug/ring") == 0)
		on_ring(ctx, request);
	else if (strcmp(request->path, "/healthz") == 0)
		answer_text(request, 200, "ok\n");
	else
		answer_text(request, 404,
			    "404 page not found: here are GET /debug/ring (a profile of the last "
			    "seconds), POST /debug/ring (write a file) and /healthz\n");
}

static void on_gone(void *ctx, struct cprof_http_request *request)
{
	struct cprof_ring_server *server = ctx;
	for (size_t i = 0; i < server->n_waiting; i++) {
		if (server->waiting[i] == request)
			server->waiting[i--] = server->waiting[--server->n_waiting];
	}
}

bool cprof_ring_server_wants(const struct cprof_ring_server *server)
{
	return server && server->n_waiting;
}

void cprof_ring_server_give(struct cprof_ring_server *server, const uint8_t *bytes, size_t n,
			    const struct cprof_error *err)
{
	while (server->n_waiting) {
		struct cprof_http_request *request = server->waiting[--server->n_waiting];
		struct cprof_http_answer answer = {
			.status = 200,
			.content_type = "application/octet-stream",
			.disposition = "attachment; filename=\"ring.pb.gz\"",
			.no_store = true,
		};
		if (err) {
			answer_text(request, 500, err->message);
			continue;
		}
		cprof_buffer_append(&answer.body, bytes, n);
		cprof_http_server_answer(request, &answer);
	}
	cprof_http_server_run(server->service.http, NULL, 0); /* it goes out at once */
}

/* ---- life ---- */

static struct cprof_error *begin(struct cprof_ring_server *server, const char *address,
				 const char *token_file)
{
	static const struct cprof_http_limits limits = { .clients = CLIENTS_MAX,
							 .request_ns = REQUEST_NS,
							 .answer_ns = ANSWER_NS };
	const struct cprof_http_handler handler = { on_ask, on_gone, server };
	return cprof_http_service_open(&server->service, address, token_file, &limits, &handler);
}

struct cprof_error *cprof_ring_server_open(const char *address, const char *token_file,
					   cprof_ring_server_trigger_fn *trigger, void *ctx,
					   struct cprof_ring_server **ret_server)
{
	struct cprof_ring_server *server = calloc(1, sizeof(*server));
	if (!server)
		return cprof_error_no_memory();
	server->service = CPROF_HTTP_SERVICE_NONE;
	server->trigger = trigger;
	server->ctx = ctx;
	struct cprof_error *err = begin(server, address, token_file);
	if (err)
		cprof_ring_server_close(server);
	else
		*ret_server = server;
	return err;
}

void cprof_ring_server_close(struct cprof_ring_server *server)
{
	if (!server)
		return;
	cprof_http_service_close(&server->service);
	free(server);
}

const char *cprof_ring_server_url(const struct cprof_ring_server *server)
{
	return cprof_buffer_text(&server->service.url);
}

/* ---- the owner's loop ---- */

size_t cprof_ring_server_poll(const struct cprof_ring_server *server, struct pollfd *fds, size_t n)
{
	return server ? cprof_http_server_poll(server->service.http, fds, n,
					       n + CPROF_RING_SERVER_FDS)
		      : n;
}

uint64_t cprof_ring_server_due_mono_ns(const struct cprof_ring_server *server)
{
	return server ? cprof_http_server_due_mono_ns(server->service.http) : UINT64_MAX;
}

void cprof_ring_server_run(struct cprof_ring_server *server, const struct pollfd *fds, size_t n)
{
	if (server)
		cprof_http_service_run(&server->service, fds, n);
}
