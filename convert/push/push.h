/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/push/push.h - one finished profile to one server over HTTP, tried a few times.
 *
 * What differs between servers is a back end each (push_backend.h); which one is meant the URL says (push_url.h). Here is what
 * all have in common: the profile made fit for the server, its labels, the tries and the words about them.
 */
#ifndef CPROF_CONVERT_PUSH_PUSH_H
#define CPROF_CONVERT_PUSH_PUSH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clockwork.h"
#include "convert/net/tls.h"
#include "convert/push/push_requests.h"
#include "convert/push/push_verdict.h"
#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/profile.h"

/* A part of a profile has arrived: `done` of `n`. */
typedef void cprof_push_progress_fn(void *ctx, uint32_t done, uint32_t n);

struct cprof_push {
	const char *url;
	const char *auth; /* "user:password" or a token (cprof_curl_options_log_in); NULL: none */
	const char
		*how_to_log_in; /* words for people whom the server does not let in; may be NULL */
	bool open_auth;         /* `auth` may go over a network in plain text */
	const char *backend;    /* "auto" or a back end's name */
	const char *service;    /* what the collector calls the application */
	const char *const *labels; /* "key=value", as people gave them */
	size_t n_labels;
	const char *const *found; /* "key=value", as we found out; they give way to those above */
	size_t n_found;
	const char *kind; /* "cpu", "heap", ...; NULL: what the profile looks like */
	const struct cprof_profile *profile;
	uint64_t from_wall_ns, until_wall_ns;
	const void *body; /* the same as gzip pprof */
	size_t n_body;
	const char *tenant;          /* of a server for several: X-Scope-OrgID; NULL or "": none */
	const struct cprof_tls *tls; /* its `auth` is not looked at; NULL: curl's defaults */
	int64_t shift_ns; /* added to all times: our clock was wrong, or old is to look new */
	unsigned tries;   /* of cprof_push_send; 0: 3 */
	cprof_push_progress_fn *progress;    /* of cprof_push_send; may be NULL */
	void *ctx;                           /* of progress */
	const struct cprof_clockwork *clock; /* NULL: the real one */
};

/*
 * Before anything is sampled: is this a URL that can be pushed to, of a server that takes these labels, and may `auth` be sent
 * there? Looks at url, backend, labels and auth only. USAGE with a hint; UNSUPPORTED where there is no libcurl.
 */
struct cprof_error *cprof_push_check(const struct cprof_push *push);

struct cprof_push_result {
	enum cprof_push_verdict verdict;
	uint32_t parts_done, n_parts;         /* of the requests that the profile becomes */
	long status;                          /* of the last answer; 0: none came */
	struct cprof_push_requests_left left; /* labels that did not go along */
	uint64_t retry_after_ns;              /* that the server asked for; 0: it did not */
	struct cprof_error
		*problem; /* owned; UNDELIVERED with the server's own words. NULL: delivered */
};
void cprof_push_result_deinit(struct cprof_push_result *result);

/*
 * Send it once, up to the first part that is not taken. It begins with the part that result->parts_done says: what one profile is
 * cut into is the same each time (where it is not, because result->n_parts is another number than it was, with the first). What becomes of it is in `result`. Blocks for the transfer, 10 s and what the size takes,
 * for each part. Errors are not the server's: USAGE, UNSUPPORTED, NO_MEMORY; the verdict is then HELD.
 */
struct cprof_error *cprof_push_try(const struct cprof_push *push, struct cprof_push_result *result,
				   cprof_push_progress_fn *progress, void *ctx);

/*
 * The same with some tries more while the server is away or busy, after random waits (backoff.h). Errors: result->problem
 * as well, UNDELIVERED.
 */
struct cprof_error *cprof_push_send(const struct cprof_push *push,
				    struct cprof_push_result *result);

/* Append "delivered to ..." for people. */
struct cprof_error *cprof_push_say_delivered(const struct cprof_push *push,
					     const struct cprof_push_result *result,
					     struct cprof_buffer *out);

/* Append what would be sent: each request's line, headers and size, and what is in it. Nothing secret; sends nothing. */
struct cprof_error *cprof_push_show(const struct cprof_push *push, struct cprof_buffer *out);

#endif
