#include "convert/net/fetch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/secret.h"
#include "convert/net/curl_api.h"
#include "convert/net/curl_options.h"

#define MAX_BYTES     (1u << 30)  /* of an answer; profiles are packed, and few have 100 MB */
#define ERROR_BYTES   (64u << 10) /* of an answer that is no profile */
#define PROGRESS_S    5           /* between two lines of progress */
#define MESSAGE_BYTES 400         /* of a server's own words in an error */

/* A URL on its way. */
struct transfer {
	const struct cprof_curl_api *api;
	const struct cprof_fetch_request *request;
	struct cprof_fetch *fetch;
	CURL *curl;
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

static void set_options(struct transfer *t)
{
	const struct cprof_curl_api *api = t->api;
	const struct cprof_source_url *url = &t->fetch->url;
	cprof_curl_options_set(api, t->curl, &t->request->tls, url->insecure);
	api->easy_setopt(t->curl, CURLOPT_URL, cprof_buffer_text(&url->text));
	api->easy_setopt(t->curl, CURLOPT_PRIVATE, t);
	api->easy_setopt(t->curl, CURLOPT_ERRORBUFFER, t->why);
	api->easy_setopt(t->curl, CURLOPT_TIMEOUT, (long)url->timeout_s);
	api->easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, take_bytes);
	api->easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
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
	const char *words =
		type && strncmp(type, "text/plain", 10) == 0 ? cprof_buffer_text(out) : "";
	return cprof_error_new(
		CPROF_ERR_OS, "the server answers %ld%s%.*s", status, *words ? ": " : "",
		(int)strcspn(words, "\r\n") < MESSAGE_BYTES ? (int)strcspn(words, "\r\n")
							    : MESSAGE_BYTES,
		words);
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
	if (code == CURLE_OK)
		return check_status(t->api, t->curl, bytes, &t->fetch->trouble);
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
		.request = f->request, .fetch = fetch, .api = f->api, .curl = f->api->easy_init()
	};
	if (!t->curl || fetch->url.text.failed) {
		f->api->easy_cleanup(t->curl);
		return cprof_error_no_memory();
	}
	f->n++;
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

static struct cprof_error *begin_all(struct fetching *f, struct cprof_fetch *fetches)
{
	const struct cprof_strings *names = f->request->names;
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < names->len; i++) {
		fetches[i].is_url = cprof_source_url_read(names->items[i], f->request->seconds,
							  f->request->timeout_s, &fetches[i].url);
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
		cprof_buffer_deinit(&fetches[i].bytes);
		cprof_error_free(fetches[i].err);
	}
	free(fetches);
}
