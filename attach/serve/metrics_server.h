/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/serve/metrics_server.h - /metrics and /healthz of a program that has other things to do than to serve profiles.
 *
 * What the metrics are its owner writes, and its owner polls: there are no threads, and nothing here waits. Who may ask is as for all
 * that is served (convert/http/http_listen.h). The pages of processes are serve.h's.
 */
#ifndef CPROF_ATTACH_SERVE_METRICS_SERVER_H
#define CPROF_ATTACH_SERVE_METRICS_SERVER_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/buffer.h"
#include "cprof/error.h"

#define CPROF_METRICS_SERVER_FDS 32 /* at most, to poll for */

struct cprof_metrics_server;

/* Appends the metrics, in the text format of Prometheus. */
typedef void cprof_metrics_put_fn(void *ctx, struct cprof_buffer *out);

/*
 * Listen at `address`, for who knows the token in `token_file` (NULL: for all who reach it); both are borrowed until the return. Errors: those of cprof_listen_open() and
 * cprof_http_server_new().
 */
struct cprof_error *cprof_metrics_server_open(const char *address, const char *token_file,
					      cprof_metrics_put_fn *put, void *ctx,
					      struct cprof_metrics_server **ret_server);
void cprof_metrics_server_close(struct cprof_metrics_server *server); /* takes NULL */

/* "http://127.0.0.1:6060" */
const char *cprof_metrics_server_url(const struct cprof_metrics_server *server);

/* As cprof_http_server_poll(), _due_mono_ns() and _run(). NULL: nothing, never, nothing. */
size_t cprof_metrics_server_poll(const struct cprof_metrics_server *server, struct pollfd *fds,
				 size_t n);
uint64_t cprof_metrics_server_due_mono_ns(const struct cprof_metrics_server *server);
void cprof_metrics_server_run(struct cprof_metrics_server *server, const struct pollfd *fds,
			      size_t n);

#endif
