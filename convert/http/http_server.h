/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/http/http_server.h - an HTTP/1.1 server for a few hundred clients: sockets, requests, limits, answers.
 *
 * Knows nothing of what is asked for: each whole request goes to a handler, which answers now or later. HTTP itself is GNU
 * libmicrohttpd's. There are no threads: the owner polls the server's descriptors with its own and lets it work.
 *
 * Limits: clients at once; bytes of a request; the time in which a request has to be there and an answer has to be taken,
 * whatever trickles meanwhile. A client that hangs up is told of at once, also while its answer is being made.
 */
#ifndef CPROF_CONVERT_HTTP_HTTP_SERVER_H
#define CPROF_CONVERT_HTTP_HTTP_SERVER_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "convert/http/http_token.h"
#include "cprof/buffer.h"
#include "cprof/error.h"

/* Borrowed by the handler until it has answered, or was told that the client has gone. */
struct cprof_http_request {
	const char *method; /* "GET" */
	const char *path;   /* decoded, from '/' */
	const char *query;  /* as sent, without '?'; "" */
	const char
		*host; /* the name by which we were reached, with the port; NULL: it was not told */
	const uint8_t *body;
	size_t n_body;
	bool is_form;       /* the body is a form */
	const char *accept; /* what kinds of answers are wanted; "" */
	void *handler_data; /* the handler's own */
};

struct cprof_http_answer {
	unsigned status;
	const char *content_type; /* borrowed, as all texts here; must outlive the call only */
	const char *disposition;  /* NULL: none */
	const char *location;     /* NULL: none */
	const char *authenticate; /* WWW-Authenticate; NULL: none */
	bool sniff;               /* leave X-Content-Type-Options out, as Go's redirects do */
	bool go_pprof;            /* X-Go-Pprof: the body is an error text to be shown */
	const char *policy;       /* Content-Security-Policy; NULL: none */
	bool no_store;            /* no cache keeps it */
	struct cprof_buffer body; /* taken, and left empty */
};

/* One of the two ends each request. */
struct cprof_http_handler {
	void (*ask)(void *ctx, struct cprof_http_request *request);
	void (*gone)(void *ctx, struct cprof_http_request *request); /* nobody waits any more */
	void *ctx;
};

struct cprof_http_limits {
	unsigned clients;
	uint64_t
		request_ns; /* until a request is there as a whole, also the next one of a kept connection */
	uint64_t answer_ns; /* until an answer is taken as a whole */
	size_t body_bytes;  /* of a request; 0: 64 KiB */
};

struct cprof_http_server;

/*
 * Serve on the listening socket `listen_fd`, which is taken also on error. `handler` is copied. `any_host` as in http_access.h.
 * Errors: UNSUPPORTED (the library is missing), NO_MEMORY.
 */
struct cprof_error *cprof_http_server_new(int listen_fd, bool any_host,
					  const struct cprof_http_limits *limits,
					  const struct cprof_http_handler *handler,
					  struct cprof_http_server **ret_server);

/* From now on only who knows `token` (borrowed) is let in, under whatever name the machine was asked for. */
void cprof_http_server_demand(struct cprof_http_server *server, struct cprof_http_token *token);

/* Hangs up on everybody; requests that wait are told to the handler as gone. */
void cprof_http_server_free(struct cprof_http_server *server);

/* What to poll for: appended to `fds` at n, as many as there is room for in `cap`; the new n. And until when at most. */
size_t cprof_http_server_poll(const struct cprof_http_server *server, struct pollfd *fds, size_t n,
			      size_t cap);
uint64_t cprof_http_server_due_mono_ns(const struct cprof_http_server *server);

/* Do what there is to do. Calls the handler. `fds`: what was polled for it. Never blocks. */
void cprof_http_server_run(struct cprof_http_server *server, const struct pollfd *fds, size_t n);

/* Answer, in ask() or later. The request must not be used afterwards. */
void cprof_http_server_answer(struct cprof_http_request *request, struct cprof_http_answer *answer);

size_t cprof_http_server_clients(const struct cprof_http_server *server);

/* How many requests were answered with a status of so many hundreds, 2 to 5. */
uint64_t cprof_http_server_answers(const struct cprof_http_server *server, unsigned hundreds);

#endif
