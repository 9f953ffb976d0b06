/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/push/push_http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/version.h"
#include "convert/net/curl_options.h"

#define CONNECT_MS 5000L
#define TOTAL_MS   10000L
#define ANSWER_MAX 2048       /* of the server's words; the rest helps nobody */
#define DRAIN_MAX  (1u << 20) /* of head and words; then the connection is closed */

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
static CURLcode trust(const struct cprof_curl_api *api, CURL *curl)
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

static bool set_up(const struct cprof_curl_api *api, CURL *curl,
		   const struct cprof_push_request *request, struct curl_slist *headers,
		   struct cprof_push_exchange *exchange)
{
	CURLcode bad = trust(api, curl);
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
	SET(CURLOPT_TIMEOUT_MS, TOTAL_MS);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, exchange);
	SET(CURLOPT_HEADERFUNCTION, on_head);
	SET(CURLOPT_HEADERDATA, exchange);
	SET(CURLOPT_ERRORBUFFER, exchange->problem);
#undef SET
	return bad == CURLE_OK;
}

/* ---- once ---- */

static bool is_passing(CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return true;
	default:
		return false;
	}
}

static void perform(const struct cprof_curl_api *api, CURL *curl,
		    struct cprof_push_exchange *exchange)
{
	curl_off_t after = 0;
	long status = 0;
	CURLcode code = api->easy_perform(curl);
	api->easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (code == CURLE_WRITE_ERROR && exchange->taken > DRAIN_MAX && status >= 200)
		code = CURLE_OK;
	if (api->easy_getinfo(curl, CURLINFO_RETRY_AFTER, &after) == CURLE_OK && after > 0)
		exchange->answer.retry_after_ns = (uint64_t)after * CPROF_NS_PER_S;
	exchange->came = code == CURLE_OK;
	exchange->passing = is_passing(code);
	exchange->answer.status = status;
	if (!exchange->came && !*exchange->problem)
		snprintf(exchange->problem, sizeof(exchange->problem), "%s",
			 api->easy_strerror(code));
}

void cprof_push_http_exchange(const struct cprof_curl_api *api,
			      const struct cprof_push_request *request, const char *auth,
			      struct cprof_push_exchange *exchange)
{
	CURL *curl = api->easy_init();
	struct curl_slist *headers = NULL;
	exchange->grpc = CPROF_GRPC_HEAD_NONE;
	exchange->answer.grpc_status = -1;
	if (curl && make_headers(api, request, auth, &headers) &&
	    set_up(api, curl, request, headers, exchange) &&
	    (request->secret_header || cprof_curl_options_log_in(api, curl, auth)))
		perform(api, curl, exchange);
	else
		snprintf(exchange->problem, sizeof(exchange->problem),
			 "the request could not be made; is there no memory?");
	exchange->answer.words =
		*exchange->grpc.words ? exchange->grpc.words : cprof_buffer_text(&exchange->body);
	api->slist_free_all(headers);
	api->easy_cleanup(curl);
}
