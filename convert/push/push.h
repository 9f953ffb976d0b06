/*
 * convert/push/push.h - one finished profile to one server over HTTP, tried a few times.
 *
 * What differs between servers is a row of a table of back ends in push.c: which URLs are theirs, the content type, and
 * what is appended to the URL. The transfer itself (TLS, proxies) is libcurl's, with the habits of the program curl:
 * https_proxy, no_proxy, CURL_CA_BUNDLE, SSL_CERT_FILE, SSL_CERT_DIR; ~/.netrc is not read. Redirects are not followed.
 *
 * Sources: RFC 9110 "Status Codes"; the Pyroscope server API's /ingest (query parameters name, from, until, format).
 */
#ifndef CPROF_CONVERT_PUSH_PUSH_H
#define CPROF_CONVERT_PUSH_PUSH_H

#include <stddef.h>
#include <stdint.h>

#include "cprof/buffer.h"
#include "cprof/error.h"

struct cprof_push {
	const char *url;
	const char *auth; /* "user:password" or a token (cprof_curl_options_log_in); NULL: none */
	const char
		*how_to_log_in; /* words for people whom the server does not let in; may be NULL */
	const char *backend;    /* "auto" or a back end's name */
	const char *service;    /* what the collector calls the application */
	const char *const *labels; /* "key=value" */
	size_t n_labels;
	uint64_t from_wall_ns, until_wall_ns;
	const void *body; /* gzip pprof */
	size_t n_body;
	unsigned tries; /* 0: 3 */
	uint64_t
		first_wait_ns; /* 0: 500 ms; doubled from try to try, a random half of it taken off */
};

/* Before anything is sampled: is this a URL that can be pushed to? USAGE; UNSUPPORTED where there is no libcurl. */
struct cprof_error *cprof_push_check_url(const char *url);

/* And is there such a back end for it? USAGE, with a hint that lists them. The URL may be any text. */
struct cprof_error *cprof_push_check_backend(const char *url, const char *backend);

/*
 * Send it; up to about 30 s, and as long again between tries where the server asks for it. On success `answer` gets one line for people ("delivered to ..."). Errors:
 * UNDELIVERED, with the server's status and its own words, without what is secret in the URL.
 */
struct cprof_error *cprof_push_send(const struct cprof_push *push, struct cprof_buffer *answer);

#endif
