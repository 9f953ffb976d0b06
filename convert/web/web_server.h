/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/web/web_server.h - the web view as a server of its own, until it is told to end.
 */
#ifndef CPROF_CONVERT_WEB_WEB_SERVER_H
#define CPROF_CONVERT_WEB_WEB_SERVER_H

#include "convert/http/http_listen.h"
#include "convert/web/web.h"
#include "cprof/error.h"

struct cprof_web_server_options {
	const char *address, *token_file; /* as in http_listen.h; borrowed */
	int stop_fd;                      /* becomes readable when it shall end */
	void (*ready)(void *ctx,
		      const char *url); /* it listens, and answers as soon as this returns */
	void *ctx;
};

/* `web` stays the caller's. Pages are below "/", and below "/ui/" as pprof has them. Errors: those of cprof_listen_open(), UNSUPPORTED. */
struct cprof_error *cprof_web_server_run(struct cprof_web *web,
					 const struct cprof_web_server_options *options);

#endif
