/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/net/fetch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json_member.h"
#include "base/secret.h"
#include "convert/net/curl_api.h"
#include "convert/net/curl_options.h"
#include "convert/net/grpc_head.h"

#define MAX_BYTES     (1u << 30)  /* of an answer; profiles are packed, and few have 100 MB */
#define ERROR_BYTES   (64u << 10) /* of an answer that is no profile */
#define QUERY_S       60          /* for a server to put a profile together */
#define PROGRESS_S    5           /* between two lines of progress */
#define MESSAGE_BYTES 400         /* of a server's own words in an error */

/* A URL on its way. */
struct transfer {
	const struct cprof_curl_api *api;
	const struct cprof_fetch_request *request;
	struct cprof_fetch *fetch;
	CURL *curl;
	struct cprof_query_request ask; /* of a query */
	struct curl_slist *headers;     /* owned */
	struct cprof_grpc_head grpc;
	bool too_long;
	char why[CURL_ERROR_SIZE];
};

/* All of them. */
struct fetching {
	const struct cprof_curl_api *api; /* NULL until the first URL */
	const struct cprof_fetch_request *request;
	CURLM *multi;
	struct transfer *transfers;
	size_t n;
	uint64_t began_mono_ns, said_mono_ns;
};

static size_t take_bytes(char *bytes, size_t one, size_t n, void *ctx)
{
	struct transfer *t = ctx;
	(void)one;
	long status = 0;
	t->api->easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	t->too_long = t->fetch->bytes.len + n > (status == 200 ? MAX_BYTES : ERROR_BYTES);
	if (t->too_long)
		return 0;
	cprof_buffer_append(&t->fetch->bytes, bytes, n);
	return t->fetch->bytes.failed ? 0 : n;
}

static void show_progress(struct fetching *f)
{
	uint64_t mono_ns = cprof_clock_mono_ns();
	if (mono_ns - f->said_mono_ns < PROGRESS_S * CPROF_NS_PER_S)
		return;
	f->said_mono_ns = mono_ns;
	int64_t waited = (int64_t)((mono_ns - f->began_mono_ns) / CPROF_NS_PER_S), longest = 0;
	size_t bytes = 0;
	for (size_t i = 0; i < f->n; i++) {
		bytes += f->transfers[i].fetch->bytes.len;
		longest = f->transfers[i].fetch->url.seconds > longest
				  ? f->transfers[i].fetch->url.seconds
				  : longest;
	}
	if (longest > waited)
		cprof_say(&f->request->say, "... %" PRId64 " s to go", longest - waited);
	else if (bytes)
		cprof_say(&f->request->say, "... %zu bytes so far", bytes);
	else
		cprof_say(&f->request->say, "... waiting for the server, %" PRId64 " s", waited);
}

static size_t take_head(char *line, size_t one, size_t n, void *ctx)
{
	cprof_grpc_head_take(&((struct transfer *)ctx)->grpc, line, n);
	return one * n;
}

static bool is_grpc(const struct transfer *t)
{
	return t->fetch->query.backend && t->fetch->query.backend->grpc;
}

/* A query is asked in the server's own way. */
static void set_query(struct transfer *t)
{
	const struct cprof_query_backend *backend = t->fetch->query.backend;
	const struct cprof_curl_api *api = t->api;
	for (size_t i = 0; backend->headers[i]; i++)
		t->headers = api->slist_append(t->headers, backend->headers[i]);
	api->easy_setopt(t->curl, CURLOPT_HTTPHEADER, t->headers);
	if (t->ask.body.len) {
		api->easy_setopt(t->curl, CURLOPT_POSTFIELDS, cprof_buffer_text(&t->ask.body));
		api->easy_setopt(t->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->ask.body.len);
	}
	if (!is_grpc(t))
		return;
	const bool tls = strncmp(cprof_buffer_text(&t->ask.url), "https:", 6) == 0;
	api->easy_setopt(t->curl, CURLOPT_HTTP_VERSION,
			 tls ? (long)CURL_HTTP_VERSION_2TLS
			     : (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE);
	api->easy_setopt(t->curl, CURLOPT_HEADERFUNCTION, take_head);
	api->easy_setopt(t->curl, CURLOPT_HEADERDATA, t);
}

static void set_options(struct transfer *t)
{
	const struct cprof_curl_api *api = t->api;
	const struct cprof_source_url *url = &t->fetch->url;
	cprof_curl_options_set(api, t->curl, &t->request->tls, url->insecure);
	api->easy_setopt(t->curl, CURLOPT_URL,
			 cprof_buffer_text(t->fetch->query.backend ? &t->ask.url : &url->text));
	api->easy_setopt(t->curl, CURLOPT_PRIVATE, t);
	api->easy_setopt(t->curl, CURLOPT_ERRORBUFFER, t->why);
	api->easy_setopt(t->curl, CURLOPT_TIMEOUT, (long)url->timeout_s);
	api->easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, take_bytes);
	api->easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
	if (t->fetch->query.backend)
		set_query(t);
}

/* The server's answer where it is no success; what it says in plain text is shown. */
static struct cprof_error *check_status(const struct cprof_curl_api *api, CURL *curl,
					const struct cprof_buffer *out,
					enum cprof_fetch_trouble *ret_trouble)
{
	long status = 0;
	char *type = NULL;
	api->easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	api->easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
	if (status == 200)
		return NULL;
	if (status == 401 || status == 403)
		*ret_trouble = CPROF_FETCH_NOT_LET_IN;
	CPROF_AUTO(buffer) struct cprof_buffer message = { 0 };
	const char *words =
		type && strncmp(type, "text/plain", 10) == 0 ? cprof_buffer_text(out) : "";
	if (cprof_json_member(cprof_buffer_text(out), out->len, "message", &message))
		words = cprof_buffer_text(&message);
	return cprof_error_new(
		CPROF_ERR_OS, "the server answers %ld%s%.*s", status, *words ? ": " : "",
		(int)strcspn(words, "\r\n") < MESSAGE_BYTES ? (int)strcspn(words, "\r\n")
							    : MESSAGE_BYTES,
		words);
}

/* The profile in what a query brought. */
static struct cprof_error *end_query(struct transfer *t)
{
	struct cprof_query *query = &t->fetch->query;
	if (is_grpc(t) && t->grpc.status != CPROF_GRPC_OK) {
		if (t->grpc.status == CPROF_GRPC_UNAUTHENTICATED ||
		    t->grpc.status == CPROF_GRPC_DENIED)
			t->fetch->trouble = CPROF_FETCH_NOT_LET_IN;
		return cprof_error_new(CPROF_ERR_OS, "the server answers gRPC status %d%s%s",
				       t->grpc.status, *t->grpc.words ? ": " : "", t->grpc.words);
	}
	struct cprof_error *err = query->backend->take(&t->fetch->bytes);
	if (err || t->fetch->bytes.len)
		return err;
	return cprof_error_hint(cprof_error_new(CPROF_ERR_BAD_DATA,
						"the server has no profile for %s in that time",
						cprof_buffer_text(&query->text)),
				"from= and until= say another time; without them it is the last "
				"hour");
}

static struct cprof_error *end_transfer(struct transfer *t, CURLcode code)
{
	const struct cprof_buffer *bytes = &t->fetch->bytes;
	if (t->too_long) {
		struct cprof_error *err = check_status(t->api, t->curl, bytes, &t->fetch->trouble);
		return err ? err : cprof_error_new(CPROF_ERR_UNSUPPORTED, "more than 1 GiB");
	}
	if (bytes->failed)
		return cprof_error_no_memory();
	if (code == CURLE_OK) {
		struct cprof_error *err = check_status(t->api, t->curl, bytes, &t->fetch->trouble);
		return err || !t->fetch->query.backend ? err : end_query(t);
	}
	t->fetch->trouble = code == CURLE_OPERATION_TIMEDOUT         ? CPROF_FETCH_TIMED_OUT
			    : code == CURLE_PEER_FAILED_VERIFICATION ? CPROF_FETCH_UNTRUSTED
								     : CPROF_FETCH_FAILED;
	return cprof_error_new(CPROF_ERR_OS, "%s", *t->why ? t->why : t->api->easy_strerror(code));
}

static struct cprof_error *begin_curl(struct fetching *f)
{
	struct cprof_error *err = cprof_curl_api_load(&f->api);
	if (err)
		return err;
	f->multi = f->api->multi_init();
	return f->multi ? NULL : cprof_error_no_memory();
}

static struct cprof_error *begin_transfer(struct fetching *f, struct cprof_fetch *fetch)
{
	struct transfer *t = &f->transfers[f->n];
	*t = (struct transfer){
		.request = f->request,
		.fetch = fetch,
		.api = f->api,
		.curl = f->api->easy_init(),
		.grpc = CPROF_GRPC_HEAD_NONE,
	};
	if (!t->curl || fetch->url.text.failed) {
		f->api->easy_cleanup(t->curl);
		return cprof_error_no_memory();
	}
	f->n++;
	if (fetch->query.backend)
		fetch->query.backend->make(&fetch->query, &t->ask);
	set_options(t);
	f->api->multi_add_handle(f->multi, t->curl);
	CPROF_AUTO(buffer) struct cprof_buffer shown = { 0 };
	cprof_secret_put_url(cprof_buffer_text(&fetch->url.text), &shown);
	cprof_say(&f->request->say, "Fetching profile over HTTP from %s",
		  cprof_buffer_text(&shown));
	if (fetch->url.seconds)
		cprof_say(&f->request->say, "Please wait... (%" PRId64 "s)", fetch->url.seconds);
	return NULL;
}

static void take_ended(struct fetching *f)
{
	int left;
	for (CURLMsg *message; (message = f->api->multi_info_read(f->multi, &left));) {
		struct transfer *t = NULL;
		if (message->msg != CURLMSG_DONE)
			continue;
		f->api->easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t);
		t->fetch->err = end_transfer(t, message->data.result);
	}
}

static struct cprof_error *run_transfers(struct fetching *f)
{
	int running = 0;
	do {
		CURLMcode code = f->api->multi_perform(f->multi, &running);
		if (code == CURLM_OK && running)
			code = f->api->multi_poll(f->multi, NULL, 0, 1000, NULL);
		if (code != CURLM_OK)
			return cprof_error_new(CPROF_ERR_OS, "fetch: %s",
					       f->api->multi_strerror(code));
		take_ended(f);
		if (running)
			show_progress(f);
	} while (running);
	return NULL;
}

/* The address of a query is that of its server. */
static void begin_query(struct fetching *f, const char *name, struct cprof_fetch *fetch)
{
	fetch->is_url = true;
	fetch->err = cprof_query_read(name, cprof_clock_wall_ns(), &fetch->query);
	cprof_buffer_puts(&fetch->url.text, cprof_buffer_text(&fetch->query.server));
	fetch->url.insecure = fetch->query.insecure;
	fetch->url.timeout_s = f->request->timeout_s > 0 ? f->request->timeout_s : QUERY_S;
}

static struct cprof_error *begin_all(struct fetching *f, struct cprof_fetch *fetches)
{
	const struct cprof_strings *names = f->request->names;
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < names->len; i++) {
		if (cprof_query_is(names->items[i]))
			begin_query(f, names->items[i], &fetches[i]);
		else
			fetches[i].is_url =
				cprof_source_url_read(names->items[i], f->request->seconds,
						      f->request->timeout_s, &fetches[i].url);
		if (fetches[i].err)
			continue;
		if (fetches[i].is_url && !f->multi)
			err = begin_curl(f);
		if (fetches[i].is_url && !err)
			err = begin_transfer(f, &fetches[i]);
	}
	return err;
}

struct cprof_error *cprof_fetch_all(const struct cprof_fetch_request *request,
				    struct cprof_fetch **ret_fetches)
{
	struct fetching f = { .request = request };
	const size_t n = request->names->len;
	f.began_mono_ns = f.said_mono_ns = cprof_clock_mono_ns();
	struct cprof_fetch *fetches = calloc(n + 1, sizeof(*fetches));
	f.transfers = calloc(n + 1, sizeof(*f.transfers));
	struct cprof_error *err = fetches && f.transfers ? NULL : cprof_error_no_memory();
	if (!err)
		err = begin_all(&f, fetches);
	if (!err && f.n)
		err = run_transfers(&f);
	for (size_t i = 0; i < f.n; i++) {
		f.api->multi_remove_handle(f.multi, f.transfers[i].curl);
		f.api->easy_cleanup(f.transfers[i].curl);
		f.api->slist_free_all(f.transfers[i].headers);
		cprof_query_request_deinit(&f.transfers[i].ask);
	}
	if (f.multi)
		f.api->multi_cleanup(f.multi);
	free(f.transfers);
	if (err) {
		cprof_fetch_free(fetches, n);
		return err;
	}
	*ret_fetches = fetches;
	return NULL;
}

void cprof_fetch_free(struct cprof_fetch *fetches, size_t n)
{
	for (size_t i = 0; fetches && i < n; i++) {
		cprof_buffer_deinit(&fetches[i].url.text);
		cprof_query_deinit(&fetches[i].query);
		cprof_buffer_deinit(&fetches[i].bytes);
		cprof_error_free(fetches[i].err);
	}
	free(fetches);
}
