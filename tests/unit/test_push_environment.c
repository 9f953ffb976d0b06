/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/push/push_environment.h"
#include "tests/unit/test.h"

static void set(const char *const (*pairs)[2])
{
	clearenv();
	for (; (*pairs)[0]; pairs++)
		setenv((*pairs)[0], (*pairs)[1], 1);
}

#define ENV(...) ((const char *const[][2]){ __VA_ARGS__, { NULL, NULL } })

TEST(push_environment_names_one_server)
{
	static const struct {
		const char *const pairs[3][2];
		const char *url, *variable;
	} cases[] = {
		{ { { "PYROSCOPE_SERVER_ADDRESS", "http://p:4040" },
		    { "OTEL_EXPORTER_OTLP_ENDPOINT", "http://o:4318" } },
		  "pyroscope+http://p:4040",
		  "PYROSCOPE_SERVER_ADDRESS" },
		{ { { "OTEL_EXPORTER_OTLP_ENDPOINT", "https://o:4318" },
		    { "PYROSCOPE_SERVER_ADDRESS", "" } },
		  "otlp+https://o:4318",
		  "OTEL_EXPORTER_OTLP_ENDPOINT" },
		{ { { "DD_AGENT_HOST", "agent" }, { "DD_TRACE_AGENT_URL", "unix:///run/dd" } },
		  "datadog+http://agent:8126",
		  "DD_AGENT_HOST" },
		{ { { "DD_API_KEY", "k" }, { "DD_SITE", "datadoghq.eu" } },
		  "datadog+https://intake.profile.datadoghq.eu",
		  "DD_API_KEY" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cprof_buffer url = { 0 };
		const char *variable;
		set(cases[i].pairs);
		CHECK(!cprof_push_environment_server(&url, &variable));
		CHECK_STR(cprof_buffer_text(&url), cases[i].url);
		CHECK_STR(variable, cases[i].variable);
		cprof_buffer_deinit(&url);
	}
	struct cprof_buffer url = { 0 };
	const char *variable;
	clearenv();
	struct cprof_error *err = cprof_push_environment_server(&url, &variable);
	CHECK(err && err->code == CPROF_ERR_USAGE && err->hint);
	cprof_error_free(err);
}

TEST(push_environment_gives_a_secret_to_its_own_vendor_only)
{
	static const struct {
		const char *url, *want;
	} cases[] = {
		{ "pyroscope+https://h", "me:hunter2" },
		{ "https://h/ingest", "me:hunter2" },
		{ "parca+grpcs://h", "p-token" },
		{ "parca+https://h", "p-token" },
		{ "otlp+https://h", "user:pass" },
		{ "datadog+https://intake.profile.datadoghq.com", "dd-key" },
		{ "datadog+http://agent:8126", "" },
		{ "raw+https://h/x", "" },
		{ "nonsense", "" },
	};
	set(ENV({ "PYROSCOPE_BASIC_AUTH_USER", "me" },
		{ "PYROSCOPE_BASIC_AUTH_PASSWORD", "hunter2" }, { "PARCA_BEARER_TOKEN", "p-token" },
		{ "DD_API_KEY", "dd-key" },
		{ "OTEL_EXPORTER_OTLP_HEADERS", "x-scope=1, Authorization=Basic%20dXNlcjpwYXNz" }));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cprof_buffer auth = { 0 };
		const char *variable = "?";
		cprof_push_environment_auth(cases[i].url, NULL, &auth, &variable);
		CHECK_STR(cprof_buffer_text(&auth), cases[i].want);
		CHECK((variable != NULL) == (*cases[i].want != 0));
		cprof_buffer_deinit(&auth);
	}
}

TEST(push_environment_takes_nothing_of_what_is_no_base64)
{
	struct cprof_buffer auth = { 0 };
	const char *variable = "?";
	set(ENV({ "OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20dXNlcjpw*XNz" }));
	cprof_push_environment_auth("otlp+https://h", NULL, &auth, &variable);
	CHECK_UINT(auth.len, 0);
	CHECK(variable == NULL);
	cprof_buffer_deinit(&auth);
}

static void put(void *ctx, const char *name, const char *value)
{
	cprof_buffer_printf(ctx, "%s=%s;", name, value);
}

TEST(push_environment_has_labels)
{
	struct cprof_buffer out = { 0 };
	set(ENV({ "OTEL_RESOURCE_ATTRIBUTES", "service.name=no,region=a%2Cb,odd,=x" },
		{ "PYROSCOPE_LABELS", "team=core" }, { "DD_TAGS", "zone:1,rack:2 row:3" },
		{ "DD_ENV", "prod" }, { "DD_VERSION", "1.2" }));
	cprof_push_environment_labels(put, &out);
	CHECK_STR(cprof_buffer_text(&out),
		  "region=a,b;team=core;zone=1;rack=2;row=3;env=prod;version=1.2;");
	cprof_buffer_deinit(&out);
}

TEST(push_environment_fills_options_that_are_there)
{
	static const struct cprof_option rows[] = { { "service", CPROF_OPT_STRING, 0, NULL, "NAME",
						      "a name", NULL } };
	const struct cprof_option_table table = { .rows = rows, .n_rows = 1 };
	struct cprof_option_values values = { 0 };
	const char *service = NULL;
	struct cprof_strings rest = { 0 };
	set(ENV({ "DD_SERVICE", "dd" }, { "OTEL_SERVICE_NAME", "otel" },
		{ "PYROSCOPE_TENANT_ID", "nobody asks" }));
	CHECK(!cprof_push_environment_values(&table, &values));
	struct cprof_option_layers layers = { .below = values.items, .n_below = values.len };
	CHECK(!cprof_options_parse_layers(&table, &layers, 0, NULL, &service, &rest, NULL));
	CHECK_STR(service, "otel");
	cprof_option_values_deinit(&values);
}

TEST(push_environment_has_certificates_for_otlp_only)
{
	struct cprof_tls tls = { .ca = "mine" }, other = { 0 };
	set(ENV({ "OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca" },
		{ "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/cert" },
		{ "OTEL_EXPORTER_OTLP_PROFILES_CLIENT_CERTIFICATE", "/better" },
		{ "OTEL_EXPORTER_OTLP_CLIENT_KEY", "/key" }));
	cprof_push_environment_tls("otlp+https://h", "auto", &tls);
	CHECK_STR(tls.ca, "mine");
	CHECK_STR(tls.cert, "/better");
	CHECK_STR(tls.key, "/key");
	cprof_push_environment_tls("pyroscope+https://h", "auto", &other);
	CHECK(!other.ca && !other.cert && !other.key);
}
