/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/push/push_http.h - one request to a server of profiles, once.
 *
 * The transfer itself (TLS, proxies, HTTP/2) is libcurl's, with the habits of the program curl: https_proxy, no_proxy,
 * CURL_CA_BUNDLE, SSL_CERT_FILE, SSL_CERT_DIR; ~/.netrc is not read. Nothing older than TLS 1.2 is spoken. Redirects are not followed: a POST would turn into a GET,
 * and credentials would go to a stranger.
 *
 * Sources: RFC 9110 "Status Codes", "Retry-After"; gRPC over HTTP2 "Responses".
 */
#ifndef CPROF_CONVERT_PUSH_PUSH_HTTP_H
#define CPROF_CONVERT_PUSH_PUSH_HTTP_H

#include "convert/net/curl_api.h"
#include "convert/net/grpc_head.h"
#include "convert/push/push_backend.h"

struct cprof_push_exchange {
	struct cprof_push_answer answer;
	bool came;                /* an answer; otherwise `problem` says what went wrong */
	bool passing;             /* the problem may be gone the next time */
	struct cprof_buffer body; /* answer.words */
	size_t taken;             /* bytes of head and body */
	struct cprof_grpc_head grpc;
	char problem[CURL_ERROR_SIZE];
};
void cprof_push_exchange_deinit(struct cprof_push_exchange *exchange);

/* As whom we come, and whom we trust; as the members of cprof_push of these names. */
struct cprof_push_login {
	const char *auth;
	bool open_auth;
	const struct cprof_tls *tls;
};

/* Up to 10 s, and a second for each 64 KB. `exchange` begins as zeros. */
void cprof_push_http_exchange(const struct cprof_curl_api *api,
			      const struct cprof_push_request *request,
			      const struct cprof_push_login *login,
			      struct cprof_push_exchange *exchange);

#endif
