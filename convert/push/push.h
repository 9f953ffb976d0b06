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

#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/profile.h"

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
	unsigned tries; /* 0: 3 */
	uint64_t
		first_wait_ns; /* 0: 500 ms; what each wait is at least; the most doubles up to 60 s */
};

/*
 * Before anything is sampled: is this a URL that can be pushed to, of a server that takes these labels, and may `auth` be sent
 * there? Looks at url, backend, labels and auth only. USAGE with a hint; UNSUPPORTED where there is no libcurl.
 */
struct cprof_error *cprof_push_check(const struct cprof_push *push);

/*
 * Send it; up to about 30 s, and as long again between tries where the server asks for it. On success `answer` gets one line
 * for people ("delivered to ..."). Errors: UNDELIVERED, with the server's status and its own words, without what is secret in
 * the URL; *ret_passing then says whether the server may take it later. Where a profile went in parts and one of them failed,
 * those before it were taken.
 */
struct cprof_error *cprof_push_send(const struct cprof_push *push, struct cprof_buffer *answer,
				    bool *ret_passing);

/* Append what would be sent: each request's line, headers and size, and what is in it. Nothing secret; sends nothing. */
struct cprof_error *cprof_push_show(const struct cprof_push *push, struct cprof_buffer *out);

#endif
