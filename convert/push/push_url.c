/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/push/push_url.h"

#include <string.h>

#include "base/cleanup.h"

/* In the place of the scheme: what is spoken over it. */
static const struct transport {
	const char *name, *plain;
	bool grpc;
} transports[] = { { "http", "http", false },
		   { "https", "https", false },
		   { "grpc", "http", true },
		   { "grpcs", "https", true } };

const char *cprof_push_url_kinds(void)
{
	return "pyroscope+http://, pyroscope-ingest+http://, parca+grpc://, parca+http://, "
	       "otlp+http://, otelcol-pprof+http://, datadog+http:// or raw+http:// (or https, "
	       "grpcs) and the host say what the server speaks; http://HOST:PORT is Pyroscope";
}

static const struct cprof_push_backend *by_name(const char *name)
{
	for (size_t i = 0; cprof_push_backends[i]; i++) {
		if (strcmp(cprof_push_backends[i]->name, name) == 0)
			return cprof_push_backends[i];
	}
	return NULL;
}

static const struct cprof_push_backend *by_prefix(const char *prefix, size_t n, bool grpc)
{
	for (size_t i = 0; cprof_push_backends[i]; i++) {
		const struct cprof_push_backend *backend = cprof_push_backends[i];
		if (backend->grpc == grpc && strlen(backend->prefix) == n &&
		    memcmp(backend->prefix, prefix, n) == 0)
			return backend;
	}
	return NULL;
}

static const struct cprof_push_backend *by_path(const char *url)
{
	const char *path = strstr(url, "://") + 3;
	path += strcspn(path, "/?#");
	size_t n = strcspn(path, "?#");
	for (size_t i = 0; cprof_push_backends[i]; i++) {
		const struct cprof_push_backend *backend = cprof_push_backends[i];
		if (backend->serves && backend->serves(path, n))
			return backend;
	}
	return NULL;
}

static const struct transport *transport_of(const char *scheme, size_t n)
{
	for (size_t i = 0; i < sizeof(transports) / sizeof(transports[0]); i++) {
		if (strlen(transports[i].name) == n && memcmp(transports[i].name, scheme, n) == 0)
			return &transports[i];
	}
	return NULL;
}

static struct cprof_error *not_a_url(void)
{
	return cprof_error_hint(
		cprof_error_new(CPROF_ERR_USAGE, "that is no http:// or https:// URL to push to"),
		"%s", cprof_push_url_kinds());
}

struct cprof_error *cprof_push_url_read(const char *url, const char *name,
					const struct cprof_push_backend **ret_backend,
					struct cprof_buffer *plain)
{
	const char *rest = strstr(url, "://");
	if (!rest)
		return not_a_url();
	size_t n = (size_t)(rest - url);
	const char *plus = memrchr(url, '+', n);
	const char *scheme = plus ? plus + 1 : url;
	const struct transport *transport = transport_of(scheme, (size_t)(url + n - scheme));
	if (!transport || (transport->grpc && !plus))
		return not_a_url();
	cprof_buffer_printf(plain, "%s%.*s", transport->plain, (int)strcspn(rest, "#"), rest);
	struct cprof_error *err = cprof_buffer_error(plain);
	if (err)
		return err;
	bool named = name && strcmp(name, "auto") != 0;
	const struct cprof_push_backend *backend =
		named  ? by_name(name)
		: plus ? by_prefix(url, (size_t)(plus - url), transport->grpc)
		       : by_path(cprof_buffer_text(plain));
	if (!backend && !named)
		return not_a_url();
	/* "pyroscope" has two ways in, and its name was that of the older one before there was the other. */
	if (backend == &cprof_push_pyroscope && named &&
	    by_path(cprof_buffer_text(plain)) == &cprof_push_ingest)
		backend = &cprof_push_ingest;
	if (backend) {
		*ret_backend = backend;
		return NULL;
	}
	CPROF_AUTO(buffer) struct cprof_buffer names = { 0 };
	for (size_t i = 0; cprof_push_backends[i]; i++)
		cprof_buffer_printf(&names, ", %s", cprof_push_backends[i]->name);
	err = cprof_error_new(CPROF_ERR_USAGE, "no kind of server is called %s", name);
	return cprof_error_hint(err, "kinds are auto%s", cprof_buffer_text(&names));
}

static const char *host_of(const char *plain, size_t *ret_n)
{
	const char *host = strstr(plain, "://") + 3;
	size_t n = strcspn(host, "/?#");
	const char *at = memrchr(host, '@', n);
	*ret_n = at ? n - (size_t)(at + 1 - host) : n;
	return at ? at + 1 : host;
}

bool cprof_push_url_is_local(const char *plain)
{
	size_t n;
	const char *host = host_of(plain, &n);
	if (n >= 5 && memcmp(host, "[::1]", 5) == 0)
		return true;
	const char *colon = memchr(host, ':', n);
	size_t len = colon ? (size_t)(colon - host) : n;
	return (len == 9 && strncasecmp(host, "localhost", 9) == 0) ||
	       (len >= 7 && memcmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") >= len);
}

bool cprof_push_url_has_user(const char *plain)
{
	const char *host = strstr(plain, "://") + 3;
	return memchr(host, '@', strcspn(host, "/?#")) != NULL;
}
