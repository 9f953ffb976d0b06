/*
 * attach/serve/serve.h - /debug/pprof/ of processes that know nothing of it, over HTTP, until it is told to end.
 *
 * One thread waits for clients, recordings and looks; all that touches the target is done by processes of its own
 * (work.h). On return, error or not, they have ended and the target is as it was found.
 */
#ifndef CPROF_ATTACH_SERVE_SERVE_H
#define CPROF_ATTACH_SERVE_SERVE_H

#include <stddef.h>

#include "convert/http/http_address.h"
#include "attach/serve/tenant.h"
#include "attach/target/target.h"
#include "cprof/error.h"

struct cprof_serve_options {
	struct cprof_http_address address;
	struct cprof_target *const *targets; /* borrowed, as all here; at least one */
	size_t n_targets;
	struct cprof_tenant_options
		tenants; /* what holds for each of them; `name` with one target only */
	int stop_fd;     /* becomes readable when it shall end */
};

/* Errors: USAGE (no such mode), EXISTS, DENIED, OS, UNSUPPORTED, NO_MEMORY; once it serves, none. */
struct cprof_error *cprof_serve(const struct cprof_serve_options *options);

#endif
