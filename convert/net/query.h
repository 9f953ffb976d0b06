/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/net/query.h - a server of profiles as a source: what it is asked for one profile that is all of a stretch of time.
 *
 *     pyroscope+http://HOST:4040?query=TYPE{LABELS}&from=now-1h&until=now
 *     parca+http://HOST:7070?query=...    parca+grpc://HOST:7070?query=...
 *
 * What differs between servers is a const struct each (query_pyroscope.c, query_parca.c). TYPE is the server's own name of a type,
 * NAME:TYPE:UNIT:PERIOD_TYPE:PERIOD_UNIT, or one of the short ones of query.c. The addresses that Pyroscope's pages and its
 * /pyroscope/render have in a browser are understood as well.
 */
#ifndef CPROF_CONVERT_NET_QUERY_H
#define CPROF_CONVERT_NET_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/buffer.h"
#include "cprof/error.h"

struct cprof_query {
	const struct cprof_query_backend *backend; /* NULL: this is no query */
	bool insecure;                             /* whoever signed the server's certificate */
	struct cprof_buffer server; /* http://HOST:PORT/PREFIX without a slash at the end */
	struct cprof_buffer text;   /* TYPE{LABELS} */
	uint64_t from_wall_ns, until_wall_ns;
	uint64_t max_nodes; /* 0: as the server likes */
};
void cprof_query_deinit(struct cprof_query *query);

/* What is sent; both are the caller's. */
struct cprof_query_request {
	struct cprof_buffer url;
	struct cprof_buffer body; /* nothing: it is asked by GET */
};
void cprof_query_request_deinit(struct cprof_query_request *request);

struct cprof_query_backend {
	const char *prefix; /* of the scheme */
	bool grpc;          /* of the scheme as well, and over HTTP/2 */
	const char *
		counted_end; /* what names of types have behind them where they count what happened, and do not say what is held */
	const char *const *headers; /* ends with NULL */
	void (*make)(const struct cprof_query *query, struct cprof_query_request *request);
	/* The profile out of an answer, in its place. Errors: BAD_DATA. */
	struct cprof_error *(*take)(struct cprof_buffer *answer);
};

extern const struct cprof_query_backend cprof_query_pyroscope, cprof_query_parca,
	cprof_query_parca_grpc;

/* Whether `source` is a query and no file or other URL. */
bool cprof_query_is(const char *source);

/*
 * Read one. `*query` begins as zeros, and is for cprof_query_deinit() in any case. Errors: USAGE with a hint: a type or a time that is
 * not understood; NO_MEMORY.
 */
struct cprof_error *cprof_query_read(const char *source, uint64_t now_wall_ns,
				     struct cprof_query *query);

/*
 * A moment as it is written in a query: now, now-1h, now-7d, seconds, milliseconds or nanoseconds since 1970, 2026-11-28T16:00:00Z or
 * 2026-11-28. False: none of these.
 */
bool cprof_query_time(const char *text, uint64_t now_wall_ns, uint64_t *ret_wall_ns);

#endif
