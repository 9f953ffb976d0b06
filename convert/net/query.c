/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/net/query.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/options.h"
#include "base/percent.h"

#define RENDER    "/pyroscope/render"
#define DAY_S     86400u
#define FROM_TEXT "now-1h"

static const struct cprof_query_backend *const backends[] = { &cprof_query_pyroscope,
							      &cprof_query_parca,
							      &cprof_query_parca_grpc };

/* Short names, and what cprof-attach's profiles of the kind are called at the servers. */
static const struct {
	const char *name, *type;
	bool counted;
} types[] = {
	{ "cpu", "process_cpu:cpu:nanoseconds:cpu:nanoseconds", true },
	{ "inuse_space", "memory:inuse_space:bytes:space:bytes", false },
	{ "inuse_objects", "memory:inuse_objects:count:space:bytes", false },
	{ "alloc_space", "memory:alloc_space:bytes:space:bytes", true },
	{ "alloc_objects", "memory:alloc_objects:count:space:bytes", true },
	{ "block", "block:delay:nanoseconds:contentions:count", true },
	{ "mutex", "mutex:delay:nanoseconds:contentions:count", true },
	{ "threads", "goroutine:goroutine:count:goroutine:count", false },
	{ "goroutine", "goroutine:goroutine:count:goroutine:count", false },
};

void cprof_query_deinit(struct cprof_query *query)
{
	cprof_buffer_deinit(&query->server);
	cprof_buffer_deinit(&query->text);
}

void cprof_query_request_deinit(struct cprof_query_request *request)
{
	cprof_buffer_deinit(&request->url);
	cprof_buffer_deinit(&request->body);
}

/* ---- the scheme ---- */

/* What stands in the place of http:// behind the `n` bytes of PREFIX+; NULL: something that is not spoken. */
static const char *transport(const char *scheme, size_t n, bool grpc, bool *ret_insecure)
{
	static const struct {
		const char *name, *plain;
		bool grpc, insecure;
	} known[] = { { "http", "http", false, false },
		      { "https", "https", false, false },
		      { "https+insecure", "https", false, true },
		      { "grpc", "http", true, false },
		      { "grpcs", "https", true, false } };
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strlen(known[i].name) != n || memcmp(known[i].name, scheme, n) != 0 ||
		    known[i].grpc != grpc)
			continue;
		*ret_insecure = known[i].insecure;
		return known[i].plain;
	}
	return NULL;
}

/* Pyroscope's own addresses: http://HOST/pyroscope/render?query=... */
static bool is_render(const char *source, size_t scheme, const char *rest)
{
	const size_t path = strcspn(rest, "?#"), n = sizeof(RENDER) - 1;
	return (strncmp(source, "http://", scheme + 3) == 0 ||
		strncmp(source, "https://", scheme + 3) == 0) &&
	       path > n && memcmp(rest + path - n, RENDER, n) == 0;
}

static const struct cprof_query_backend *find(const char *source, const char **ret_plain,
					      const char **ret_rest, bool *ret_insecure)
{
	const char *end = strstr(source, "://"), *plus = strchr(source, '+');
	if (!end)
		return NULL;
	*ret_rest = end + 3;
	if (is_render(source, (size_t)(end - source), *ret_rest)) {
		*ret_plain = source[4] == 's' ? "https" : "http";
		*ret_insecure = false;
		return &cprof_query_pyroscope;
	}
	for (size_t i = 0; plus && plus < end && i < sizeof(backends) / sizeof(backends[0]); i++) {
		const struct cprof_query_backend *backend = backends[i];
		const size_t n = (size_t)(plus - source);
		if (strlen(backend->prefix) != n || memcmp(backend->prefix, source, n) != 0)
			continue;
		*ret_plain =
			transport(plus + 1, (size_t)(end - plus - 1), backend->grpc, ret_insecure);
		if (*ret_plain)
			return backend;
	}
	return NULL;
}

bool cprof_query_is(const char *source)
{
	const char *plain, *rest;
	bool insecure;
	return find(source, &plain, &rest, &insecure) != NULL;
}

/* ---- times ---- */

/* "1h30m", "90", "7d". */
static bool read_span(const char *text, uint64_t *ret_ns)
{
	char *end;
	const unsigned long days = strtoul(text, &end, 10);
	if (isdigit((unsigned char)*text) && end - text < 6 && strcmp(end, "d") == 0) {
		*ret_ns = days * DAY_S * CPROF_NS_PER_S;
		return true;
	}
	struct cprof_error *err = cprof_options_value("from", CPROF_OPT_DURATION, text, ret_ns);
	const bool good = !err;
	cprof_error_free(err);
	return good;
}

static bool read_number(const char *text, uint64_t *ret_wall_ns)
{
	const size_t n = strlen(text);
	if (!n || n > 19 || text[strspn(text, "0123456789")])
		return false;
	uint64_t value = strtoull(text, NULL, 10);
	const uint64_t unit = n <= 11 ? CPROF_NS_PER_S : n <= 14 ? 1000000u : n <= 17 ? 1000u : 1u;
	return !__builtin_mul_overflow(value, unit, ret_wall_ns);
}

static bool read_date(const char *text, uint64_t *ret_wall_ns)
{
	static const char *const forms[] = { "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d" };
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm tm = { 0 };
		const char *end = strptime(text, forms[i], &tm);
		if (!end || *end)
			continue;
		const time_t seconds = timegm(&tm);
		return seconds > 0 &&
		       !__builtin_mul_overflow((uint64_t)seconds, CPROF_NS_PER_S, ret_wall_ns);
	}
	return false;
}

bool cprof_query_time(const char *text, uint64_t now_wall_ns, uint64_t *ret_wall_ns)
{
	uint64_t span = 0;
	if (strncmp(text, "now", 3) != 0)
		return read_number(text, ret_wall_ns) || read_date(text, ret_wall_ns);
	if (text[3] && (text[3] != '-' || !read_span(text + 4, &span)))
		return false;
	*ret_wall_ns = now_wall_ns > span ? now_wall_ns - span : 0;
	return true;
}

/* ---- parameters ---- */

/* The parameter `name` of the query that begins at `query` ("?a=b&c=d"), with %XX resolved; false: it is not there. */
static bool parameter(const char *query, const char *name, struct cprof_buffer *out)
{
	const size_t len = strlen(name);
	const char *end = query + strcspn(query, "#");
	for (const char *at = query; at < end;) {
		at++;
		size_t n = strcspn(at, "&");
		n = at + n > end ? (size_t)(end - at) : n;
		if (n > len && at[len] == '=' && memcmp(at, name, len) == 0) {
			cprof_percent_decode(at + len + 1, n - len - 1, out);
			return true;
		}
		at += n;
	}
	return false;
}

static struct cprof_error *take_time(const char *parameters, const char *name, const char *fallback,
				     uint64_t now_wall_ns, uint64_t *ret_wall_ns)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	if (!parameter(parameters, name, &text) || !text.len)
		cprof_buffer_puts(&text, fallback);
	if (cprof_query_time(cprof_buffer_text(&text), now_wall_ns, ret_wall_ns))
		return cprof_buffer_error(&text);
	return cprof_error_hint(
		cprof_error_new(CPROF_ERR_USAGE, "%s=%s is no time", name,
				cprof_buffer_text(&text)),
		"for example now, now-1h, now-7d, 2026-11-28T16:00:00Z, or seconds since 1970");
}

static struct cprof_error *no_type(const char *asked)
{
	CPROF_AUTO(buffer) struct cprof_buffer names = { 0 };
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		cprof_buffer_printf(&names, "%s%s", i ? ", " : "", types[i].name);
	struct cprof_error *err =
		*asked ? cprof_error_new(CPROF_ERR_USAGE, "query=%s begins with no type of profile",
					 asked)
		       : cprof_error_new(CPROF_ERR_USAGE, "there is no query= in it");
	return cprof_error_hint(err,
				"for example query=cpu{service_name=\"shop\"}; types are %s, or "
				"NAME:TYPE:UNIT:PERIOD_TYPE:PERIOD_UNIT as the server lists them",
				cprof_buffer_text(&names));
}

/* TYPE{LABELS} with the type's whole name. */
static struct cprof_error *take_text(const char *parameters, struct cprof_query *query)
{
	CPROF_AUTO(buffer) struct cprof_buffer asked = { 0 };
	parameter(parameters, "query", &asked);
	const char *text = cprof_buffer_text(&asked);
	const size_t n = strcspn(text, "{");
	unsigned colons = 0;
	for (size_t i = 0; i < n; i++)
		colons += text[i] == ':';
	if (colons >= 4) {
		cprof_buffer_puts(&query->text, text);
	} else {
		size_t i = 0;
		const size_t n_types = sizeof(types) / sizeof(types[0]);
		while (i < n_types &&
		       (strlen(types[i].name) != n || memcmp(types[i].name, text, n) != 0))
			i++;
		if (i == n_types)
			return no_type(text);
		cprof_buffer_printf(&query->text, "%s%s%s", types[i].type,
				    types[i].counted ? query->backend->counted_end : "", text + n);
	}
	if (!text[n])
		cprof_buffer_puts(&query->text, "{}");
	return cprof_buffer_error(&query->text);
}

/* ---- the whole ---- */

static void put_server(const char *plain, const char *rest, struct cprof_query *query)
{
	size_t n = strcspn(rest, "?#");
	const size_t render = sizeof(RENDER) - 1;
	if (n > render && memcmp(rest + n - render, RENDER, render) == 0)
		n -= render;
	while (n && rest[n - 1] == '/')
		n--;
	cprof_buffer_printf(&query->server, "%s://", plain);
	cprof_buffer_append(&query->server, rest, n);
}

struct cprof_error *cprof_query_read(const char *source, uint64_t now_wall_ns,
				     struct cprof_query *query)
{
	const char *plain, *rest;
	CPROF_AUTO(buffer) struct cprof_buffer nodes = { 0 };
	query->backend = find(source, &plain, &rest, &query->insecure);
	if (!query->backend)
		return cprof_error_new(CPROF_ERR_USAGE, "that is no query");
	put_server(plain, rest, query);
	const char *parameters = rest + strcspn(rest, "?#");
	struct cprof_error *err = take_text(parameters, query);
	if (!err)
		err = take_time(parameters, "from", FROM_TEXT, now_wall_ns, &query->from_wall_ns);
	if (!err)
		err = take_time(parameters, "until", "now", now_wall_ns, &query->until_wall_ns);
	if (!err && query->from_wall_ns >= query->until_wall_ns)
		err = cprof_error_new(CPROF_ERR_USAGE, "from= is not before until=");
	if (!err && parameter(parameters, "max_nodes", &nodes))
		err = cprof_options_value("max_nodes", CPROF_OPT_UINT, cprof_buffer_text(&nodes),
					  &query->max_nodes);
	return err;
}
