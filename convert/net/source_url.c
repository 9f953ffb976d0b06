/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/net/source_url.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUICK_S 60 /* for a profile that takes no time to record */
#define GRACE_S 5  /* for the connection, on top of the recording */

#define DEFAULT_PATH "/debug/pprof/profile"

/* "host:6060/path" is a URL without its scheme, "dir/file:1" is not: the port follows the host at once. */
static bool has_host(const char *source)
{
	size_t n = strcspn(source, ":/");
	if (n == 0 || source[n] != ':')
		return false;
	size_t digits = strspn(source + n + 1, "0123456789");
	const char *end = source + n + 1 + digits;
	return digits > 0 && (!*end || *end == '/' || *end == '?') && access(source, F_OK) != 0;
}

/* The scheme of `source`, and what stands behind it in *ret_rest; NULL where it is no URL. */
static const char *read_scheme(const char *source, const char **ret_rest, bool *ret_insecure)
{
	static const struct {
		const char *prefix, *scheme;
	} known[] = {
		{ "http://", "http://" },
		{ "https://", "https://" },
		{ "https+insecure://", "https://" },
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		size_t n = strlen(known[i].prefix);
		if (strncmp(source, known[i].prefix, n) != 0)
			continue;
		*ret_rest = source + n;
		*ret_insecure = strcmp(known[i].prefix, known[i].scheme) != 0;
		return known[i].scheme;
	}
	*ret_rest = source;
	*ret_insecure = false;
	return has_host(source) ? "http://" : NULL;
}

/* The value of seconds=N in a URL; 0 where there is none. */
static int64_t seconds_in(const char *url)
{
	const char *query = strchr(url, '?');
	while (query) {
		if (strncmp(query + 1, "seconds=", 8) == 0)
			return strtoll(query + 9, NULL, 10);
		query = strchr(query + 1, '&');
	}
	return 0;
}

/* The parameters of a URL, less seconds=N where another one is wanted. */
static void put_query(const char *query, int64_t seconds, struct cprof_buffer *out)
{
	char separator = '?';
	for (const char *at = query; *at;) {
		at++;
		size_t n = strcspn(at, "&");
		if (n && (seconds <= 0 || strncmp(at, "seconds=", 8) != 0)) {
			cprof_buffer_putc(out, separator);
			cprof_buffer_append(out, at, n);
			separator = '&';
		}
		at += n;
	}
	if (seconds > 0)
		cprof_buffer_printf(out, "%cseconds=%" PRId64, separator, seconds);
}

bool cprof_source_url_read(const char *source, int64_t seconds, int64_t timeout_s,
			   struct cprof_source_url *ret)
{
	const char *rest, *scheme = read_scheme(source, &rest, &ret->insecure);
	if (!scheme)
		return false;
	size_t host = strcspn(rest, "/?"), path = strcspn(rest, "?");
	cprof_buffer_puts(&ret->text, scheme);
	cprof_buffer_append(&ret->text, rest, host);
	if (path - host < 2) /* nothing, or "/" */
		cprof_buffer_puts(&ret->text, DEFAULT_PATH);
	else
		cprof_buffer_append(&ret->text, rest + host, path - host);
	put_query(rest + path, seconds, &ret->text);
	seconds = seconds_in(cprof_buffer_text(&ret->text));
	ret->seconds = seconds > 0 && seconds < INT32_MAX ? seconds : 0;
	ret->timeout_s = timeout_s > 0  ? timeout_s
			 : ret->seconds ? ret->seconds + ret->seconds / 2 + GRACE_S
					: QUICK_S + GRACE_S;
	return true;
}

static bool ends_with(const char *text, size_t n, const char *tail)
{
	size_t tail_n = strlen(tail);
	return n >= tail_n && memcmp(text + n - tail_n, tail, tail_n) == 0;
}

void cprof_source_url_symbols(const char *url, struct cprof_buffer *ret)
{
	static const char *const gperftools[] = { "/pprof/heap", "/pprof/growth", "/pprof/profile",
						  "/pprof/pmuprofile", "/pprof/contention" };
	size_t n = strcspn(url, "?"), slash = n;
	bool known = memmem(url, n, "/debug/pprof/", 13) != NULL;
	for (size_t i = 0; i < sizeof(gperftools) / sizeof(gperftools[0]); i++)
		known = known || ends_with(url, n, gperftools[i]);
	while (slash && url[slash - 1] != '/')
		slash--;
	cprof_buffer_append(ret, url, slash);
	cprof_buffer_puts(ret, known ? "symbol" : "symbolz");
}
