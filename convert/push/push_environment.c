/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/push/push_environment.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "base/percent.h"
#include "convert/push/push_url.h"

#define SITE_DEFAULT "datadoghq.com"
#define PORT_DEFAULT "8126" /* of Datadog's agent */

/* NULL: not set, or empty. */
static const char *value_of(const char *variable)
{
	const char *value = secure_getenv(variable);
	return value && *value ? value : NULL;
}

static bool has_row(const struct cprof_option_table *table, const char *name)
{
	for (size_t i = 0; i < table->n_rows; i++) {
		if (strcmp(table->rows[i].name, name) == 0)
			return true;
	}
	return false;
}

struct cprof_error *cprof_push_environment_values(const struct cprof_option_table *table,
						  struct cprof_option_values *values)
{
	/* Of those for one option the last one counts. */
	static const struct {
		const char *variable, *option;
	} known[] = {
		{ "PYROSCOPE_APPLICATION_NAME", "service" },
		{ "DD_SERVICE", "service" },
		{ "OTEL_SERVICE_NAME", "service" },
		{ "PYROSCOPE_TENANT_ID", "push-tenant" },
	};
	struct cprof_error *err = NULL;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]) && !err; i++) {
		const char *value = value_of(known[i].variable);
		if (value && has_row(table, known[i].option))
			err = cprof_option_values_add(values, known[i].option, value,
						      known[i].variable, CPROF_OPTION_ENVIRONMENT);
	}
	return err;
}

/* ---- servers ---- */

static const struct {
	const char *variable, *kind;
} servers[] = {
	{ "PYROSCOPE_SERVER_ADDRESS", "pyroscope+" },
	{ "OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT", "otlp+" },
	{ "OTEL_EXPORTER_OTLP_ENDPOINT", "otlp+" },
	{ "DD_TRACE_AGENT_URL", "datadog+" },
};

struct cprof_error *cprof_push_environment_server(struct cprof_buffer *url,
						  const char **ret_variable)
{
	for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++) {
		const char *value = value_of(servers[i].variable);
		if (!value || strncmp(value, "http", 4) != 0)
			continue;
		cprof_buffer_printf(url, "%s%s", servers[i].kind, value);
		*ret_variable = servers[i].variable;
		return cprof_buffer_error(url);
	}
	const char *host = value_of("DD_AGENT_HOST"), *port = value_of("DD_TRACE_AGENT_PORT");
	const char *site = value_of("DD_SITE");
	if (!host && !value_of("DD_API_KEY"))
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE, "the environment names no server"),
			"set PYROSCOPE_SERVER_ADDRESS, OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT, "
			"OTEL_EXPORTER_OTLP_ENDPOINT, DD_TRACE_AGENT_URL or DD_AGENT_HOST (http:// "
			"or https://), or DD_API_KEY");
	if (host)
		cprof_buffer_printf(url, "datadog+http://%s:%s", host, port ? port : PORT_DEFAULT);
	else
		cprof_buffer_printf(url, "datadog+https://intake.profile.%s",
				    site ? site : SITE_DEFAULT);
	*ret_variable = host ? "DD_AGENT_HOST" : "DD_API_KEY";
	return cprof_buffer_error(url);
}

struct cprof_error *cprof_push_environment_url(const char *url, struct cprof_buffer *out)
{
	const char *variable;
	if (strcmp(url, CPROF_PUSH_URL_ENVIRONMENT) == 0)
		return cprof_push_environment_server(out, &variable);
	cprof_buffer_puts(out, url);
	return cprof_buffer_error(out);
}

/* ---- secrets ---- */

typedef const char *auth_fn(const char *plain, struct cprof_buffer *auth);

static const char *put_value(const char *variable, struct cprof_buffer *auth)
{
	const char *value = value_of(variable);
	if (value)
		cprof_buffer_puts(auth, value);
	return value ? variable : NULL;
}

static const char *put_pyroscope(const char *plain, struct cprof_buffer *auth)
{
	const char *user = value_of("PYROSCOPE_BASIC_AUTH_USER");
	const char *password = value_of("PYROSCOPE_BASIC_AUTH_PASSWORD");
	(void)plain;
	if (!user || !password)
		return put_value("PYROSCOPE_AUTH_TOKEN", auth);
	cprof_buffer_printf(auth, "%s:%s", user, password);
	return "PYROSCOPE_BASIC_AUTH_USER";
}

static const char *put_parca(const char *plain, struct cprof_buffer *auth)
{
	(void)plain;
	return put_value("PARCA_BEARER_TOKEN", auth);
}

/* An agent has the key already. */
static const char *put_datadog(const char *plain, struct cprof_buffer *auth)
{
	return strncmp(plain, "https:", 6) == 0 ? put_value("DD_API_KEY", auth) : NULL;
}

/* "Bearer TOKEN" or "Basic BASE64", as the value of a header; of what is no base64 nothing is taken. */
static void put_credentials(const char *value, struct cprof_buffer *auth)
{
	CPROF_AUTO(buffer) struct cprof_buffer plain = { 0 };
	if (strncasecmp(value, "bearer ", 7) == 0)
		cprof_buffer_puts(auth, value + 7);
	else if (strncasecmp(value, "basic ", 6) == 0 &&
		 cprof_base64_decode(value + 6, strlen(value + 6), &plain))
		cprof_buffer_puts(auth, cprof_buffer_text(&plain));
}

/* "name=value,authorization=Bearer%20token": of these the one that lets us in. */
static bool put_header(const char *headers, struct cprof_buffer *auth)
{
	static const char wanted[] = "authorization=";
	for (const char *at = headers; *at;) {
		at += strspn(at, ", ");
		const size_t n = strcspn(at, ","), skip = sizeof(wanted) - 1;
		if (n > skip && strncasecmp(at, wanted, skip) == 0) {
			CPROF_AUTO(buffer) struct cprof_buffer value = { 0 };
			cprof_percent_decode(at + skip, n - skip, &value);
			put_credentials(cprof_buffer_text(&value), auth);
			return auth->len > 0;
		}
		at += n;
	}
	return false;
}

static const char *put_otlp(const char *plain, struct cprof_buffer *auth)
{
	static const char *const variables[] = { "OTEL_EXPORTER_OTLP_PROFILES_HEADERS",
						 "OTEL_EXPORTER_OTLP_HEADERS" };
	(void)plain;
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		const char *headers = value_of(variables[i]);
		if (headers && put_header(headers, auth))
			return variables[i];
	}
	return NULL;
}

void cprof_push_environment_auth(const char *url, const char *backend, struct cprof_buffer *auth,
				 const char **ret_variable)
{
	static const struct {
		const struct cprof_push_backend *backend;
		auth_fn *put;
	} known[] = {
		{ &cprof_push_pyroscope, put_pyroscope }, { &cprof_push_ingest, put_pyroscope },
		{ &cprof_push_parca, put_parca },         { &cprof_push_parca_json, put_parca },
		{ &cprof_push_otlp, put_otlp },           { &cprof_push_otelcol_pprof, put_otlp },
		{ &cprof_push_datadog, put_datadog },
	};
	CPROF_AUTO(buffer) struct cprof_buffer plain = { 0 };
	const struct cprof_push_backend *found = NULL;
	const char *variable = NULL;
	struct cprof_error *err = cprof_push_url_read(url, backend, &found, &plain);
	for (size_t i = 0; !err && i < sizeof(known) / sizeof(known[0]) && !variable; i++)
		variable = known[i].backend == found ? known[i].put(cprof_buffer_text(&plain), auth)
						     : NULL;
	cprof_error_free(err);
	if (ret_variable)
		*ret_variable = variable;
}

/* ---- certificates ---- */

static const char *first_of(const char *chosen, const char *variable, const char *other)
{
	const char *value = chosen && *chosen ? chosen : value_of(variable);
	return value ? value : value_of(other);
}

void cprof_push_environment_tls(const char *url, const char *backend, struct cprof_tls *tls)
{
	CPROF_AUTO(buffer) struct cprof_buffer plain = { 0 };
	const struct cprof_push_backend *found = NULL;
	cprof_error_free(cprof_push_url_read(url, backend, &found, &plain));
	if (found != &cprof_push_otlp && found != &cprof_push_otelcol_pprof)
		return;
	tls->ca = first_of(tls->ca, "OTEL_EXPORTER_OTLP_PROFILES_CERTIFICATE",
			   "OTEL_EXPORTER_OTLP_CERTIFICATE");
	tls->cert = first_of(tls->cert, "OTEL_EXPORTER_OTLP_PROFILES_CLIENT_CERTIFICATE",
			     "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE");
	tls->key = first_of(tls->key, "OTEL_EXPORTER_OTLP_PROFILES_CLIENT_KEY",
			    "OTEL_EXPORTER_OTLP_CLIENT_KEY");
}

/* ---- labels ---- */

/* Pairs with a comma between (Datadog: or a blank), each NAME, `equals` and a value. */
static void each_pair(const char *text, const char *separators, char equals,
		      cprof_push_environment_label_fn *add, void *ctx)
{
	CPROF_AUTO(free) char *copy = strdup(text);
	char *state = NULL;
	for (char *pair = copy ? strtok_r(copy, separators, &state) : NULL; pair;
	     pair = strtok_r(NULL, separators, &state)) {
		pair += strspn(pair, " ");
		char *value = strchr(pair, equals);
		if (!value || value == pair)
			continue;
		*value++ = 0;
		CPROF_AUTO(buffer) struct cprof_buffer plain = { 0 };
		cprof_percent_decode(value, strlen(value), &plain);
		if (strcmp(pair, "service.name") != 0 && strcmp(pair, "service") != 0)
			add(ctx, pair, cprof_buffer_text(&plain));
	}
}

void cprof_push_environment_labels(cprof_push_environment_label_fn *add, void *ctx)
{
	static const struct {
		const char *variable, *separators;
		char equals;
	} lists[] = { { "OTEL_RESOURCE_ATTRIBUTES", ",", '=' },
		      { "PYROSCOPE_LABELS", ",", '=' },
		      { "DD_TAGS", ", ", ':' } };
	static const struct {
		const char *variable, *name;
	} singles[] = { { "DD_ENV", "env" }, { "DD_VERSION", "version" } };
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		const char *text = value_of(lists[i].variable);
		if (text)
			each_pair(text, lists[i].separators, lists[i].equals, add, ctx);
	}
	for (size_t i = 0; i < sizeof(singles) / sizeof(singles[0]); i++) {
		const char *value = value_of(singles[i].variable);
		if (value)
			add(ctx, singles[i].name, value);
	}
}
