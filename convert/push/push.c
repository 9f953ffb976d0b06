#include "convert/push/push.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/secret.h"
#include "base/version.h"
#include "convert/net/curl_api.h"
#include "convert/net/curl_options.h"

#define TRIES_DEFAULT      3
#define FIRST_WAIT_NS      (CPROF_NS_PER_S / 2)
#define RETRY_AFTER_MAX_NS (30 * CPROF_NS_PER_S)
#define CONNECT_MS         5000L
#define TOTAL_MS           10000L
#define ANSWER_MAX         2048       /* of the server's words; the rest helps nobody */
#define DRAIN_MAX          (1u << 20) /* of head and words; then the connection is closed */

struct backend {
	const char *name;
	/* Is `path` (of the URL, without query) one that this back end serves? For "auto". */
	bool (*serves)(const char *path, size_t n);
	const char *content_type;
	/* Append the query parameters; `first` is '?' or '&'. */
	void (*query)(const struct cprof_push *push, char first, struct cprof_buffer *url);
};

/* ---- raw: the file as it is ---- */

static bool serves_all(const char *path, size_t n)
{
	(void)path;
	(void)n;
	return true;
}

/* ---- Pyroscope's /ingest ---- */

static bool serves_ingest(const char *path, size_t n)
{
	while (n && path[n - 1] == '/')
		n--;
	return n >= 7 && memcmp(path + n - 7, "/ingest", 7) == 0;
}

/* Names are [A-Za-z0-9_.-/], keys [A-Za-z0-9_.]; anything else is refused there with 400. */
static void put_clean(struct cprof_buffer *out, const char *text, size_t n, const char *more)
{
	for (size_t i = 0; i < n; i++)
		cprof_buffer_putc(out, isalnum((unsigned char)text[i]) || strchr(more, text[i])
					       ? text[i]
					       : '_');
}

/* In a value a comma or a brace would end it: there is no way to quote them. */
static void put_value(struct cprof_buffer *out, const char *text)
{
	for (; *text; text++)
		cprof_buffer_putc(out,
				  strchr(",{}", *text) || (unsigned char)*text < ' ' ? '_' : *text);
}

/* app{key=value,key=value} */
static void put_app(const struct cprof_push *push, struct cprof_buffer *out)
{
	const char *service = push->service && *push->service ? push->service : "unknown";
	put_clean(out, service, strlen(service), "_.-/");
	size_t n = 0;
	for (size_t i = 0; i < push->n_labels; i++) {
		const char *equals = strchr(push->labels[i], '=');
		if (!equals || equals == push->labels[i] || !equals[1])
			continue;
		cprof_buffer_putc(out, n++ ? ',' : '{');
		put_clean(out, push->labels[i], (size_t)(equals - push->labels[i]), "_.");
		cprof_buffer_putc(out, '=');
		put_value(out, equals + 1);
	}
	if (n)
		cprof_buffer_putc(out, '}');
}

static void put_escaped(struct cprof_buffer *out, const char *text)
{
	for (; *text; text++) {
		if (isalnum((unsigned char)*text) || strchr("-._~", *text))
			cprof_buffer_putc(out, *text);
		else
			cprof_buffer_printf(out, "%%%02X", (unsigned char)*text);
	}
}

static void query_ingest(const struct cprof_push *push, char first, struct cprof_buffer *url)
{
	CPROF_AUTO(buffer) struct cprof_buffer app = { 0 };
	put_app(push, &app);
	cprof_buffer_printf(url, "%cname=", first);
	put_escaped(url, cprof_buffer_text(&app));
	cprof_buffer_printf(url,
			    "&from=%" PRIu64 "&until=%" PRIu64 "&format=pprof&spyName=cprof-attach",
			    (uint64_t)(push->from_wall_ns / CPROF_NS_PER_S),
			    (uint64_t)(push->until_wall_ns / CPROF_NS_PER_S));
}

/* clang-format off */
static const struct backend backends[] = {
	{ "pyroscope", serves_ingest, "application/octet-stream", query_ingest },
	{ "raw",       serves_all,    "application/octet-stream", NULL },
};
/* clang-format on */
#define N_BACKENDS (sizeof(backends) / sizeof(backends[0]))

/* ---- choosing ---- */

static struct cprof_error *choose(const char *url, const char *name, const struct backend **ret)
{
	const char *host = strstr(url, "://");
	const char *path = host ? host + 3 + strcspn(host + 3, "/?#") : url;
	size_t n = strcspn(path, "?#");
	bool any = !name || strcmp(name, "auto") == 0;
	for (size_t i = 0; i < N_BACKENDS; i++) {
		if (any ? backends[i].serves(path, n) : strcmp(backends[i].name, name) == 0) {
			*ret = &backends[i];
			return NULL;
		}
	}
	CPROF_AUTO(buffer) struct cprof_buffer names = { 0 };
	for (size_t i = 0; i < N_BACKENDS; i++)
		cprof_buffer_printf(&names, ", %s", backends[i].name);
	struct cprof_error *err =
		cprof_error_new(CPROF_ERR_USAGE, "no kind of server is called %s", name);
	return cprof_error_hint(err, "kinds are auto%s", cprof_buffer_text(&names));
}

struct cprof_error *cprof_push_check_backend(const char *url, const char *backend)
{
	const struct backend *chosen;
	return choose(url, backend, &chosen);
}

struct cprof_error *cprof_push_check_url(const char *url)
{
	const struct cprof_curl_api *api;
	struct cprof_error *err = cprof_curl_api_load(&api);
	if (err)
		return err;
	CURLU *parsed = api->url();
	char *host = NULL;
	if (!parsed)
		return cprof_error_no_memory();
	bool http = strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
	bool good = http && api->url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
		    api->url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK;
	api->free(host);
	api->url_cleanup(parsed);
	return good ? NULL : cprof_error_new(CPROF_ERR_USAGE, "that is no http:// or https:// URL");
}

/* ---- one try ---- */

struct answer {
	CURLcode code;
	long status; /* 0: none came */
	uint64_t retry_after_ns;
	struct cprof_buffer body;
	size_t taken; /* bytes of head and body */
	char problem[CURL_ERROR_SIZE];
};

/* The status is known by the time it is too much, and what is said after a megabyte changes nothing. */
static size_t take(struct answer *answer, size_t n)
{
	answer->taken += n;
	return answer->taken > DRAIN_MAX ? 0 : n;
}

static size_t on_head(char *data, size_t size, size_t n, void *ctx)
{
	(void)data;
	return take(ctx, size * n);
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
	struct answer *answer = ctx;
	size_t room = answer->body.len < ANSWER_MAX ? ANSWER_MAX - answer->body.len : 0;
	cprof_buffer_append(&answer->body, data, size * n < room ? size * n : room);
	return take(answer, size * n);
}

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

static bool set_up(const struct cprof_curl_api *api, CURL *curl, const struct cprof_push *push,
		   const char *url, struct curl_slist *headers, struct answer *answer)
{
	CURLcode bad = trust(api, curl);
#define SET(option, value) bad = bad ? bad : api->easy_setopt(curl, option, value)
	SET(CURLOPT_URL, url);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_POST, 1L);
	SET(CURLOPT_POSTFIELDS, push->body);
	SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)push->n_body);
	SET(CURLOPT_HTTPHEADER, headers);
	SET(CURLOPT_USERAGENT, "cprof-attach/" CPROF_VERSION);
	SET(CURLOPT_NOSIGNAL, 1L);
	/* Not followed: a POST would turn into a GET, and credentials would go to a stranger. */
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	SET(CURLOPT_TIMEOUT_MS, TOTAL_MS);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, answer);
	SET(CURLOPT_HEADERFUNCTION, on_head);
	SET(CURLOPT_HEADERDATA, answer);
	SET(CURLOPT_ERRORBUFFER, answer->problem);
#undef SET
	return bad == CURLE_OK && cprof_curl_options_log_in(api, curl, push->auth);
}

static void post_once(const struct cprof_curl_api *api, const struct cprof_push *push,
		      const struct backend *backend, const char *url, struct answer *answer)
{
	char type[80];
	snprintf(type, sizeof(type), "Content-Type: %s", backend->content_type);
	CURL *curl = api->easy_init();
	struct curl_slist *headers = api->slist_append(NULL, type);
	struct curl_slist *more = headers ? api->slist_append(headers, "Expect:") : NULL;
	if (!curl || !more || !set_up(api, curl, push, url, headers, answer)) {
		answer->code = CURLE_OUT_OF_MEMORY;
	} else {
		curl_off_t after = 0;
		answer->code = api->easy_perform(curl);
		api->easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
		if (answer->code == CURLE_WRITE_ERROR && answer->taken > DRAIN_MAX &&
		    answer->status >= 200)
			answer->code = CURLE_OK;
		if (api->easy_getinfo(curl, CURLINFO_RETRY_AFTER, &after) == CURLE_OK && after > 0)
			answer->retry_after_ns = (uint64_t)after * CPROF_NS_PER_S;
	}
	api->slist_free_all(headers);
	api->easy_cleanup(curl);
}

/* ---- several tries ---- */

static bool delivered(const struct answer *answer)
{
	return answer->code == CURLE_OK && answer->status >= 200 && answer->status < 300;
}

/* A server that is away or busy may be back soon; one that says no will say it again. */
static bool worth_another(const struct answer *answer)
{
	switch (answer->code) {
	case CURLE_OK:
		return answer->status == 408 || answer->status == 429 || answer->status >= 500;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
		return true;
	default:
		return false;
	}
}

static void wait_before(const struct cprof_push *push, unsigned tried, const struct answer *answer)
{
	uint64_t first = push->first_wait_ns ? push->first_wait_ns : FIRST_WAIT_NS;
	uint64_t wait = first << (tried - 1);
	uint32_t chance = 0;
	if (getrandom(&chance, sizeof(chance), 0) != sizeof(chance))
		chance = (uint32_t)cprof_clock_mono_ns();
	wait -= (wait / 2 >> 16) * (chance >> 16);
	if (answer->retry_after_ns)
		wait = answer->retry_after_ns < RETRY_AFTER_MAX_NS ? answer->retry_after_ns
								   : RETRY_AFTER_MAX_NS;
	struct timespec left = { .tv_sec = (time_t)(wait / CPROF_NS_PER_S),
				 .tv_nsec = (long)(wait % CPROF_NS_PER_S) };
	nanosleep(&left, NULL);
}

/* The server's words on one line. */
static void put_words(struct cprof_buffer *out, const struct cprof_buffer *body)
{
	bool space = false;
	for (size_t i = 0; i < body->len; i++) {
		bool blank = body->data[i] <= ' ';
		if (!blank && space)
			cprof_buffer_putc(out, ' ');
		if (!blank)
			cprof_buffer_putc(out, (char)body->data[i]);
		space = blank && out->len;
	}
}

static struct cprof_error *undelivered(const struct cprof_curl_api *api, const char *shown,
				       const struct cprof_push *push, const struct answer *answer,
				       unsigned tried)
{
	CPROF_AUTO(buffer) struct cprof_buffer words = { 0 };
	put_words(&words, &answer->body);
	const char *times = tried == 1 ? "" : " (the last of several tries)";
	if (answer->code != CURLE_OK)
		return cprof_error_new(CPROF_ERR_UNDELIVERED, "push to %s: %s%s", shown,
				       *answer->problem ? answer->problem
							: api->easy_strerror(answer->code),
				       times);
	struct cprof_error *err = cprof_error_new(
		CPROF_ERR_UNDELIVERED, "push to %s: the server answered %ld%s%s%s", shown,
		answer->status, words.len ? ": " : "", cprof_buffer_text(&words), times);
	if (answer->status == 401 || answer->status == 403)
		return cprof_error_hint(err, "%s%s%s",
					push->auth ? "what was sent to log in with was not taken"
						   : "nothing was sent to log in with",
					push->how_to_log_in ? ": " : "",
					push->how_to_log_in ? push->how_to_log_in : "");
	if (answer->status >= 300 && answer->status < 400)
		return cprof_error_hint(err, "redirects are not followed; use the final URL");
	return err;
}

struct cprof_error *cprof_push_send(const struct cprof_push *push, struct cprof_buffer *answer_line)
{
	const struct backend *backend;
	const struct cprof_curl_api *api;
	struct cprof_error *err = choose(push->url, push->backend, &backend);
	if (!err)
		err = cprof_curl_api_load(&api);
	if (err)
		return err;
	CPROF_AUTO(buffer) struct cprof_buffer url = { 0 };
	CPROF_AUTO(buffer) struct cprof_buffer shown = { 0 };
	size_t before_fragment = strcspn(push->url, "#");
	cprof_buffer_append(&url, push->url, before_fragment);
	cprof_secret_put_url(push->url, &shown);
	if (backend->query)
		backend->query(push, memchr(push->url, '?', before_fragment) ? '&' : '?', &url);
	err = cprof_buffer_error(&url);
	if (err)
		return err;

	unsigned tries = push->tries ? push->tries : TRIES_DEFAULT;
	for (unsigned tried = 1;; tried++) {
		struct answer answer = { .code = CURLE_OK };
		post_once(api, push, backend, cprof_buffer_text(&url), &answer);
		bool done = delivered(&answer);
		if (done)
			cprof_buffer_printf(answer_line, "delivered to %s (%s, %ld)",
					    cprof_buffer_text(&shown), backend->name,
					    answer.status);
		else if (tried < tries && worth_another(&answer))
			wait_before(push, tried, &answer);
		else
			err = undelivered(api, cprof_buffer_text(&shown), push, &answer, tried);
		cprof_buffer_deinit(&answer.body);
		if (done || err)
			return err;
	}
}
