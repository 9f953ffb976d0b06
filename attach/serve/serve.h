/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/serve/serve.h - /debug/pprof/ of processes that know nothing of it, over HTTP, until it is told to end.
 *
 * One thread waits for clients, recordings and looks; all that touches the target is done by processes of its own
 * (work.h). On return, error or not, they have ended and the target is as it was found.
 */
#ifndef CPROF_ATTACH_SERVE_SERVE_H
#define CPROF_ATTACH_SERVE_SERVE_H

#include <stddef.h>

#include "attach/serve/tenant.h"
#include "attach/targets/target_rules.h"
#include "cprof/error.h"

struct cprof_serve_options {
	const char *address, *token_file;       /* as in http_listen.h; borrowed, as all here */
	const struct cprof_target_rules *rules; /* whom to serve */
	struct cprof_tenant_options tenants;    /* what holds for each of them */
	int stop_fd;                            /* becomes readable when it shall end */

	/* An eventfd(2) that becomes readable when it shall look again for whom to serve (-1: never); what `again` gives then are the rules. */
	int again_fd;
	const struct cprof_target_rules *(*again)(
		void *ctx); /* NULL, or gives NULL: they are the same */
	void *again_ctx;
};

/* Errors: those of cprof_target_set_open() and cprof_listen_open(); USAGE (no such mode), EXISTS, DENIED, OS, UNSUPPORTED, NO_MEMORY; once it serves, NO_MEMORY only. */
struct cprof_error *cprof_serve(const struct cprof_serve_options *options);

#endif
