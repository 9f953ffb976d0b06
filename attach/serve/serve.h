/*
 * attach/serve/serve.h - /debug/pprof/ of a process that knows nothing of it, over HTTP, until it is told to end.
 *
 * One thread waits for clients, recordings and looks; all that touches the target is done by processes of its own
 * (work.h). On return, error or not, they have ended and the target is as it was found.
 */
#ifndef CPROF_ATTACH_SERVE_SERVE_H
#define CPROF_ATTACH_SERVE_SERVE_H

#include <stdbool.h>

#include "attach/http/http_address.h"
#include "attach/modes/mode.h"
#include "attach/target/target.h"
#include "cprof/error.h"

struct cprof_serve_options {
	struct cprof_http_address address;
	const char *modes; /* "cpu,heap,block,mutex,threads": those that may be asked for */
	bool lazy;         /* begin to record when first asked, not at once */
	const char *
		name; /* of the process, which is looked for again when it has ended; NULL: it is not */
	const struct cprof_mode_requests *requests; /* borrowed, as all here */
	struct cprof_run_naming naming;
	const char *command_line;
	int stop_fd;                              /* becomes readable when it shall end */
	void (*say)(void *ctx, const char *text); /* a line for people */
	void *say_ctx;
};

/* Errors: USAGE (no such mode), EXISTS, DENIED, OS, UNSUPPORTED, NO_MEMORY; once it serves, none. */
struct cprof_error *cprof_serve(struct cprof_target *target,
				const struct cprof_serve_options *options);

#endif
