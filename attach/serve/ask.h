/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/serve/ask.h - what a request asks for: a path and its parameters, read as net/http/pprof reads them.
 *
 * Owns the ceilings: what one request may cost is bounded, whatever it says.
 */
#ifndef CPROF_ATTACH_SERVE_ASK_H
#define CPROF_ATTACH_SERVE_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "convert/http/http_server.h"
#include "attach/serve/endpoint.h"
#include "attach/serve/profile_form.h"
#include "cprof/buffer.h"

#define CPROF_ASK_SECONDS_MAX 3600
#define CPROF_ASK_HZ_MAX      1000
#define CPROF_ASK_EVENT_MAX   64
#define CPROF_ASK_RATE_NS_MIN 1000
#define CPROF_ASK_RATE_NS_MAX 1000000000

enum cprof_ask_kind {
	CPROF_ASK_ENDPOINT,
	CPROF_ASK_INDEX,
	CPROF_ASK_REDIRECT, /* to `location` */
	CPROF_ASK_TARGETS,  /* /targets: who is served, for people; a page */
	CPROF_ASK_TARGETS_JSON,
	CPROF_ASK_DISCOVERY, /* /sd: the same for Prometheus's HTTP service discovery */
	CPROF_ASK_METRICS,   /* /metrics */
	CPROF_ASK_HEALTH,    /* /healthz: the server answers */
	CPROF_ASK_READY,     /* /readyz: and somebody is there to be profiled */
	CPROF_ASK_NOT_FOUND, /* outside of all that */
	CPROF_ASK_REFUSED,   /* by `status` and `why` */
};

struct cprof_ask {
	enum cprof_ask_kind kind;
	pid_t pid; /* /pid/N/debug/pprof/... or ?pid=N; 0: not told; -1: no number */
	const struct cprof_endpoint *endpoint;
	struct cprof_profile_form form;
	int64_t debug;
	uint64_t length_ns; /* 0: no `seconds` */
	double rate; /* Hz of a CPU profile, ns of waits (wait_request.h); 0: as the server was told */
	char event[CPROF_ASK_EVENT_MAX]; /* "": as the server was told */
	struct cprof_buffer location;    /* owned */
	unsigned status;
	const char *why; /* static */
};

void cprof_ask_deinit(struct cprof_ask *ask);

/* Read a request; all of `ask` is set. What is wrong with it becomes CPROF_ASK_REFUSED, with Go's words where Go has some. */
void cprof_ask_read(const struct cprof_http_request *request, struct cprof_ask *ask);

/* "/a/../b//c/" as "/b/c/", as Go's mux cleans paths: RFC 3986 "Remove Dot Segments". */
void cprof_ask_clean_path(const char *path, struct cprof_buffer *out);

#endif
