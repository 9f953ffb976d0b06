/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "attach/target/container.h"
#include "base/json_put.h"
#include "convert/push/push_labels.h"
#include "convert/push/push_profile.h"
#include "convert/push/push_url.h"
#include "tests/unit/test.h"

TEST(push_url_says_what_the_server_speaks)
{
	static const struct {
		const char *url, *as, *want, *plain; /* want NULL: refused */
	} rows[] = {
		{ "http://h:4040", "auto", "pyroscope", "http://h:4040" },
		{ "http://h:4040/", NULL, "pyroscope", "http://h:4040/" },
		{ "https://h/pyroscope/#f", NULL, "pyroscope", "https://h/pyroscope/" },
		{ "http://h/ingest/?a=b", NULL, "pyroscope-ingest", "http://h/ingest/?a=b" },
		{ "pyroscope-ingest+https://h", NULL, "pyroscope-ingest", "https://h" },
		{ "http://h/ingest", "pyroscope", "pyroscope-ingest", "http://h/ingest" },
		{ "pyroscope+https://u:p@h/x", NULL, "pyroscope", "https://u:p@h/x" },
		{ "parca+grpc://h:7070", NULL, "parca", "http://h:7070" },
		{ "parca+grpcs://h", NULL, "parca", "https://h" },
		{ "parca+http://h", NULL, "parca-json", "http://h" },
		{ "http://h/v1development/profiles", NULL, "otlp",
		  "http://h/v1development/profiles" },
		{ "otlp+https://h", NULL, "otlp", "https://h" },
		{ "http://h/v1/pprof", NULL, "otelcol-pprof", "http://h/v1/pprof" },
		{ "datadog+http://h:8126", NULL, "datadog", "http://h:8126" },
		{ "http://h/other", NULL, "raw", "http://h/other" },
		{ "raw+http://h/{service}", NULL, "raw", "http://h/{service}" },
		{ "http://h", "raw", "raw", "http://h" },
		{ "grpc://h", NULL, NULL, NULL },
		{ "otlp+grpc://h", NULL, NULL, NULL },
		{ "nobody+http://h", NULL, NULL, NULL },
		{ "+http://h", NULL, NULL, NULL },
		{ "ftp://h", NULL, NULL, NULL },
		{ "h:4040", NULL, NULL, NULL },
		{ "://", NULL, NULL, NULL },
		{ "", NULL, NULL, NULL },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct cprof_push_backend *backend;
		struct cprof_buffer plain = { 0 };
		struct cprof_error *err =
			cprof_push_url_read(rows[i].url, rows[i].as, &backend, &plain);
		if ((err == NULL) != (rows[i].want != NULL))
			TEST_FAIL("%s: %s", rows[i].url, err ? err->message : "taken");
		if (!err && rows[i].want) {
			CHECK_STR(backend->name, rows[i].want);
			CHECK_STR(cprof_buffer_text(&plain), rows[i].plain);
		}
		cprof_error_free(err);
		cprof_buffer_deinit(&plain);
	}
}

TEST(push_url_knows_this_machine)
{
	static const char *const here[] = { "http://127.0.0.1:1/", "http://u:p@localhost",
					    "http://[::1]:4040/x", "http://127.8.8.8" };
	static const char *const elsewhere[] = { "http://127.0.0.1.example/", "http://h",
						 "http://localhost.example:1",
						 "http://localhost@h/", "http://10.0.0.1" };
	for (size_t i = 0; i < sizeof(here) / sizeof(here[0]); i++)
		CHECK(cprof_push_url_is_local(here[i]));
	for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++)
		CHECK(!cprof_push_url_is_local(elsewhere[i]));
}

TEST(push_labels_are_made_fit)
{
	const struct cprof_push_grammar grammar = {
		.more_in_names = "_", .not_in_values = ",", .max_value = 5, .max_labels = 4
	};
	struct cprof_push_labels labels = { 0 };
	static const char *const pairs[] = { "zone-id=a,b",  "9=n",        "none=",
					     "=none",        "__name__=x", "l=123\xc3\xa9\xc3\xa9",
					     "caf\xc3\xa9=x" };
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		CHECK(!cprof_push_labels_add(&labels, &grammar, pairs[i], false));
	CHECK_UINT(labels.len, 4);
	CHECK_STR(cprof_push_labels_get(&labels, "zone_id"), "a_b");
	CHECK_STR(cprof_push_labels_get(&labels, "_9"), "n");
	CHECK_STR(cprof_push_labels_get(&labels, "l"), "123\xc3\xa9");
	CHECK_STR(cprof_push_labels_get(&labels, "caf__"), "x");
	for (int found = 0; found < 2; found++) {
		struct cprof_error *err =
			cprof_push_labels_add(&labels, &grammar, "zone.id=2", found);
		CHECK((err == NULL) == (found == 1));
		cprof_error_free(err);
		err = cprof_push_labels_add(&labels, &grammar, "fifth=2", found);
		CHECK((err == NULL) == (found == 1));
		cprof_error_free(err);
	}
	CHECK_UINT(labels.len, 4);
	cprof_push_labels_deinit(&labels);
}

/* `n` samples, each of a function of its own with a name of 200 bytes; a label tells pairs of equal stacks apart. */
static struct cprof_profile *big_profile(uint32_t n)
{
	struct cprof_profile *profile;
	char name[201];
	bool ok = !cprof_profile_new(&profile) &&
		  !cprof_profile_add_type(profile, "inuse-space", "bytes") &&
		  !cprof_profile_add_type(profile, "alloc_space", "bytes");
	for (uint32_t i = 0; i < n && ok; i++) {
		struct cprof_function function = { 0 };
		struct cprof_line line = { 0 };
		struct cprof_label label = { 0 };
		const int64_t values[2] = { i + 1, 2 * (int64_t)i };
		uint32_t location;
		snprintf(name, sizeof(name), "%0200u", i / 2);
		ok = !cprof_profile_string(profile, name, &function.name) &&
		     !cprof_profile_string(profile, "lock", &label.key) &&
		     !cprof_profile_string(profile, i % 2 ? "0x1" : "0x2", &label.text) &&
		     !cprof_profile_function(profile, &function, &line.function) &&
		     !cprof_profile_add_location(profile, &(struct cprof_location){ 0 }, &line, 1,
						 &location) &&
		     !cprof_profile_add_sample(profile, &location, 1, &label, 1, values);
	}
	CHECK(ok);
	return profile;
}

TEST(push_profile_is_cut_into_parts_whose_sums_are_those_of_the_whole)
{
	struct cprof_push_backend backend = { .max_bytes = 50000, .max_samples = 400 };
	struct cprof_profile *whole = big_profile(2000);
	for (int apart = 0; apart < 2; apart++) {
		struct cprof_push_profiles parts = { 0 };
		int64_t sum = 0;
		uint32_t n = 0;
		backend.gauges_apart = apart;
		CHECK(!cprof_push_profiles_make(whole, &backend, 0, &parts));
		CHECK(parts.len >= 5);
		for (size_t i = 0; i < parts.len; i++) {
			const struct cprof_profile *part = parts.items[i];
			CHECK(part->n_samples <= 400 && part->n_labels == 0);
			n += part->n_samples;
			for (size_t at = 0; at < (size_t)part->n_samples * part->n_types; at++)
				sum += part->values[at];
			CHECK_STR(cprof_profile_text(part, part->types[0].type),
				  part->n_types == 2 || sum <= 2001000 ? "inuse_space"
								       : "alloc_space");
		}
		CHECK(n >= 1000 && sum == 2001000 + 3998000);
		cprof_push_profiles_deinit(&parts);
	}
	cprof_profile_free(whole);
}

TEST(json_texts_are_utf8_and_may_stand_in_a_page)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "", "\"\"" },
		{ "a\"b\\c\n\x01\xc3\xa9", "\"a\\\"b\\\\c\\u000a\\u0001\xc3\xa9\"" },
		{ "</script>\x7f", "\"\\u003c/script>\\u007f\"" },
		{ "\xff\xc3", "\"\\ufffd\\ufffd\"" },
		{ "\xe2\x82", "\"\\ufffd\\ufffd\"" }, /* the end of the text is in it */
		{ "\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_buffer out = { 0 };
		cprof_json_put(&out, rows[i].text);
		CHECK_STR(cprof_buffer_text(&out), rows[i].want);
		cprof_buffer_deinit(&out);
	}
}

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
TEST(container_is_found_in_the_names_of_control_groups)
{
	static const struct {
		const char *text, *id, *pod;
	} rows[] = {
		{ "0::/system.slice/docker-" ID ".scope\n", ID, "" },
		{ "12:cpu:/docker/" ID "\n", ID, "" },
		{ "0::/kubepods/burstable/pod01234567-89ab-cdef-0123-456789abcdef/" ID, ID,
		  "01234567-89ab-cdef-0123-456789abcdef" },
		{ "0::/kubepods.slice/kubepods-pod01234567_89ab_cdef_0123_456789abcdef.slice/cri-" ID
		  ".scope",
		  ID, "01234567-89ab-cdef-0123-456789abcdef" },
		{ "0::/user.slice\n", "", "" },
		{ "0::/" ID "0", "", "" },
		{ "0::/podpod0123", "", "" },
		{ "", "", "" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct cprof_container found = cprof_container_read(rows[i].text);
		CHECK_STR(found.id, rows[i].id);
		CHECK_STR(found.pod, rows[i].pod);
	}
}
