/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/push/push_http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/version.h"
#include "convert/net/curl_options.h"
#include "convert/push/push_url.h"

#define CONNECT_MS   5000L
#define TOTAL_MS     10000L
#define BYTES_PER_MS 64
#define ANSWER_MAX   2048       /* of the server's words; the rest helps nobody */
#define DRAIN_MAX    (1u << 20) /* of head and words; then the connection is closed */

void cprof_push_exchange_deinit(struct cprof_push_exchange *exchange)
{
	cprof_buffer_deinit(&exchange->body);
}

/* ---- what comes back ---- */

/* The status is known by the time it is too much, and what is said after a megabyte changes nothing. */
static size_t take(struct cprof_push_exchange *exchange, size_t n)
{
	exchange->taken += n;
	return exchange->taken > DRAIN_MAX ? 0 : n;
}

static size_t on_head(char *data, size_t size, size_t n, void *ctx)
{
	struct cprof_push_exchange *exchange = ctx;
	cprof_grpc_head_take(&exchange->grpc, data, size * n);
	exchange->answer.grpc_status = exchange->grpc.status;
	return take(exchange, size * n);
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
	struct cprof_push_exchange *exchange = ctx;
	size_t room = exchange->body.len < ANSWER_MAX ? ANSWER_MAX - exchange->body.len : 0;
	cprof_buffer_append(&exchange->body, data, size * n < room ? size * n : room);
	return take(exchange, size * n);
}

/* ---- what is sent ---- */

/* As the program curl does; its library by itself looks at none of these. */
static CURLcode trust_environment(const struct cprof_curl_api *api, CURL *curl)
{
	const char *bundle = getenv("CURL_CA_BUNDLE"), *dir = getenv("SSL_CERT_DIR");
	if (!bundle || !*bundle)
		bundle = getenv("SSL_CERT_FILE");
	CURLcode bad = CURLE_OK;
	if (bundle && *bundle)
		bad = api->easy_setopt(curl, CURLOPT_CAINFO, bundle);
	if (!bad && dir && *dir)
		bad = api->easy_setopt(curl, CURLOPT_CAPATH, dir);
	return bad;
}

/* These certificates, and not the directory of the system's besides. */
static CURLcode trust_only(const struct cprof_curl_api *api, CURL *curl, const char *ca)
{
	CURLcode bad = api->easy_setopt(curl, CURLOPT_CAINFO, ca);
	return bad ? bad : api->easy_setopt(curl, CURLOPT_CAPATH, NULL);
}

static CURLcode trust(const struct cprof_curl_api *api, CURL *curl, const struct cprof_tls *tls)
{
	CURLcode bad = tls && tls->ca && *tls->ca ? trust_only(api, curl, tls->ca)
						  : trust_environment(api, curl);
	return bad || !tls ? bad : cprof_curl_options_tls(api, curl, tls);
}

static bool add_header(const struct cprof_curl_api *api, struct curl_slist **headers,
		       const char *line)
{
	struct curl_slist *more = api->slist_append(*headers, line);
	*headers = more ? more : *headers;
	return more != NULL;
}

static bool make_headers(const struct cprof_curl_api *api, const struct cprof_push_request *request,
			 const char *auth, struct curl_slist **headers)
{
	CPROF_AUTO(free) char *lines = strdup(cprof_buffer_text(&request->headers));
	char *state = NULL;
	bool ok = lines && add_header(api, headers, "Expect:");
	for (char *line = ok ? strtok_r(lines, "\n", &state) : NULL; line && ok;
	     line = strtok_r(NULL, "\n", &state))
		ok = add_header(api, headers, line);
	if (!ok || !request->secret_header || !auth)
		return ok;
	CPROF_AUTO(buffer) struct cprof_buffer secret = { 0 };
	cprof_buffer_printf(&secret, "%s: %s", request->secret_header, auth);
	return !secret.failed && add_header(api, headers, cprof_buffer_text(&secret));
}

static long version_of(const struct cprof_push_request *request)
{
	if (!request->grpc)
		return CURL_HTTP_VERSION_NONE;
	return strncmp(cprof_buffer_text(&request->url), "https:", 6) == 0
		       ? CURL_HTTP_VERSION_2TLS
		       : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
}

/* A slow line gets the time that it takes at 64 KB/s. */
static long total_ms(const struct cprof_push_request *request)
{
	return TOTAL_MS + (long)(request->body.len / BYTES_PER_MS);
}

/* What http:// to this machine may bear unencrypted must not take a way round over a proxy elsewhere. */
static bool stays_here(const struct cprof_push_request *request,
		       const struct cprof_push_login *login)
{
	const char *url = cprof_buffer_text(&request->url);
	return (login->auth || cprof_push_url_has_user(url)) && !login->open_auth &&
	       strncmp(url, "http:", 5) == 0;
}

static bool set_up(const struct cprof_curl_api *api, CURL *curl,
		   const struct cprof_push_request *request, const struct cprof_push_login *login,
		   struct curl_slist *headers, struct cprof_push_exchange *exchange)
{
	CURLcode bad = trust(api, curl, login->tls);
#define SET(option, value) bad = bad ? bad : api->easy_setopt(curl, option, value)
	SET(CURLOPT_URL, cprof_buffer_text(&request->url));
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_POST, 1L);
	SET(CURLOPT_POSTFIELDS, cprof_buffer_text(&request->body));
	SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
	if (request->put)
		SET(CURLOPT_CUSTOMREQUEST, "PUT");
	if (request->grpc)
		SET(CURLOPT_HTTP_VERSION, version_of(request));
	SET(CURLOPT_HTTPHEADER, headers);
	SET(CURLOPT_USERAGENT, "cprof-attach/" CPROF_VERSION);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	SET(CURLOPT_TIMEOUT_MS, total_ms(request));
	SET(CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE); /* a proxy gets none of ours */
	if (stays_here(request, login))
		SET(CURLOPT_PROXY, "");
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, exchange);
	SET(CURLOPT_HEADERFUNCTION, on_head);
	SET(CURLOPT_HEADERDATA, exchange);
	SET(CURLOPT_ERRORBUFFER, exchange->problem);
#undef SET
	return bad == CURLE_OK;
}

/* ---- once ---- */

/* What is as it is until somebody mends a certificate, a file or a URL. */
static bool is_lasting(CURLcode code)
{
	switch (code) {
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_URL_MALFORMAT:
	case CURLE_LOGIN_DENIED:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
		return true;
	default:
		return false;
	}
}

/* What a proxy said before there was a server to talk to. 0: nothing, or yes. */
static long proxys_no(const struct cprof_curl_api *api, CURL *curl)
{
	long status = 0;
	api->easy_getinfo(curl, CURLINFO_HTTP_CONNECTCODE, &status);
	return status >= 300 ? status : 0;
}

/*
 * The verdict is in the status (and gRPC's in the trailers). A body that then comes too slowly, or not to its end, changes
 * nothing; who asked again because of it would be counted twice.
 */
static bool is_answered(const struct cprof_push_exchange *exchange,
			const struct cprof_push_request *request, long status)
{
	return status >= 200 &&
	       (!request->grpc || status != 200 || exchange->answer.grpc_status != CPROF_GRPC_NONE);
}

static void perform(const struct cprof_curl_api *api, CURL *curl,
		    const struct cprof_push_request *request, struct cprof_push_exchange *exchange)
{
	curl_off_t after = 0;
	long status = 0;
	CURLcode code = api->easy_perform(curl);
	long refused = proxys_no(api, curl);
	api->easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (refused)
		status = refused == 407 ? refused : 0;
	uint64_t *after_ns = &exchange->answer.retry_after_ns;
	if (api->easy_getinfo(curl, CURLINFO_RETRY_AFTER, &after) == CURLE_OK && after > 0 &&
	    __builtin_mul_overflow((uint64_t)after, CPROF_NS_PER_S, after_ns))
		*after_ns = UINT64_MAX;
	exchange->came = code == CURLE_OK || refused == 407 ||
			 (!refused && is_answered(exchange, request, status));
	exchange->passing = !is_lasting(code);
	exchange->answer.status = status;
	if (!exchange->came && !*exchange->problem)
		snprintf(exchange->problem, sizeof(exchange->problem), "%s",
			 api->easy_strerror(code));
}

void cprof_push_http_exchange(const struct cprof_curl_api *api,
			      const struct cprof_push_request *request,
			      const struct cprof_push_login *login,
			      struct cprof_push_exchange *exchange)
{
	const char *auth = login->auth;
	CURL *curl = api->easy_init();
	struct curl_slist *headers = NULL;
	exchange->grpc = CPROF_GRPC_HEAD_NONE;
	exchange->answer.grpc_status = CPROF_GRPC_NONE;
	exchange->passing = true;
	if (curl && make_headers(api, request, auth, &headers) &&
	    set_up(api, curl, request, login, headers, exchange) &&
	    (request->secret_header || cprof_curl_options_log_in(api, curl, auth)))
		perform(api, curl, request, exchange);
	else
		snprintf(exchange->problem, sizeof(exchange->problem),
			 "the request could not be made; is there no memory?");
	exchange->answer.words =
		*exchange->grpc.words ? exchange->grpc.words : cprof_buffer_text(&exchange->body);
	api->slist_free_all(headers);
	api->easy_cleanup(curl);
}
