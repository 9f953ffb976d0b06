/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/http/http_service.h - an HTTP server at an address that a user has named: where it listens, its URL, its server.
 *
 * What is served, and the loop in which it is, are its owner's.
 */
#ifndef CPROF_CONVERT_HTTP_HTTP_SERVICE_H
#define CPROF_CONVERT_HTTP_HTTP_SERVICE_H

#include "convert/http/http_listen.h"
#include "convert/http/http_server.h"
#include "cprof/buffer.h"

struct cprof_http_service {
	struct cprof_listen listen;
	struct cprof_http_server *http; /* owned; NULL: not yet */
	struct cprof_buffer url;        /* "http://127.0.0.1:6060" */
};

#define CPROF_HTTP_SERVICE_NONE ((struct cprof_http_service){ .listen = CPROF_LISTEN_NONE })

/* Listen; nobody is answered yet. `service` is none so far, and is to be closed on errors, too: those of cprof_listen_open(). */
struct cprof_error *cprof_http_service_listen(struct cprof_http_service *service,
					      const char *address, const char *token_file);

/* From now on requests go to `handler`, of those who know the token where there is one. Errors: those of cprof_http_server_new(). */
struct cprof_error *cprof_http_service_serve(struct cprof_http_service *service,
					     const struct cprof_http_limits *limits,
					     const struct cprof_http_handler *handler);

/* Both, where nothing is to be known of the address in between. Errors: theirs; `service` is to be closed on errors, too. */
struct cprof_error *cprof_http_service_open(struct cprof_http_service *service, const char *address,
					    const char *token_file,
					    const struct cprof_http_limits *limits,
					    const struct cprof_http_handler *handler);

/* As cprof_http_server_run(); what is answered in it goes out at once. */
void cprof_http_service_run(struct cprof_http_service *service, const struct pollfd *fds, size_t n);

/* Hangs up on everybody, and removes the name of a unix socket that we have made. */
void cprof_http_service_close(struct cprof_http_service *service);

#endif
