/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/net/query.h"

#include "base/json_member.h"
#include "convert/net/grpc_head.h"
#include "tests/unit/test.h"

#define NOW 1764345600000000000ull /* 2025-11-28T16:00:00Z */

TEST(query_is_told_from_files_and_other_urls)
{
	static const struct {
		const char *source;
		bool is;
	} cases[] = {
		{ "pyroscope+http://h:4040?query=cpu", true },
		{ "pyroscope+https+insecure://h", true },
		{ "parca+https://h", true },
		{ "parca+grpcs://h", true },
		{ "http://h/pyroscope/render?query=x", true },
		{ "https://h/a/pyroscope/render", true },
		{ "pyroscope+grpc://h", false },
		{ "parca+ftp://h", false },
		{ "pyroscope+http:/h", false },
		{ "http://h/render?a=/pyroscope/render", false },
		{ "http://h:4040?query=cpu", false },
		{ "https+insecure://h/p", false },
		{ "file+1", false },
		{ "", false },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cprof_query_is(cases[i].source) != cases[i].is)
			TEST_FAIL("%s", cases[i].source);
	}
}

TEST(query_times_are_read_in_every_usual_form)
{
	static const struct {
		const char *text;
		uint64_t want; /* 0: refused */
	} cases[] = {
		{ "now", NOW },
		{ "now-1h", NOW - 3600000000000ull },
		{ "now-1h30m", NOW - 5400000000000ull },
		{ "now-90", NOW - 90000000000ull },
		{ "now-7d", NOW - 604800000000000ull },
		{ "1764345600", NOW },
		{ "1764345600000", NOW },
		{ "1764345600000000", NOW },
		{ "1764345600000000000", NOW },
		{ "2025-11-28T16:00:00Z", NOW },
		{ "2025-11-28T16:00Z", NOW },
		{ "2025-11-28", NOW - 16 * 3600000000000ull },
		{ "now+1h", 0 },
		{ "now-", 0 },
		{ "now-x", 0 },
		{ "now--1d", 0 },
		{ "yesterday", 0 },
		{ "", 0 },
		{ "12345678901234567890", 0 },
		/* Later than 64 bits of nanoseconds reach. */
		{ "99999999999", 0 },
		{ "99999999999999", 0 },
		{ "99999999999999999", 0 },
		{ "9999-12-31", 0 },
		{ "now- -5d", 0 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t got = 0;
		const bool good = cprof_query_time(cases[i].text, NOW, &got);
		if (good != (cases[i].want != 0) || (good && got != cases[i].want))
			TEST_FAIL("%s: %d %" PRIu64, cases[i].text, good, got);
	}
}

TEST(query_has_a_server_a_type_and_labels)
{
	static const struct {
		const char *source, *server, *text; /* text NULL: refused */
	} cases[] = {
		{ "pyroscope+http://h:1/a/?query=mutex%7Bx%3D%22+%22%7D#f", "http://h:1/a",
		  "mutex:delay:nanoseconds:contentions:count{x=\"+\"}" },
		{ "parca+grpcs://h?query=inuse_space", "https://h",
		  "memory:inuse_space:bytes:space:bytes{}" },
		{ "parca+http://h?query=a:b:c:d:e:delta{}", "http://h", "a:b:c:d:e:delta{}" },
		{ "https://h/x/pyroscope/render?query=block", "https://h/x",
		  "block:delay:nanoseconds:contentions:count{}" },
		{ "pyroscope+http://h?queries=cpu", NULL, NULL },
		{ "pyroscope+http://h?query={service=\"x\"}", NULL, NULL },
		{ "pyroscope+http://h?query=a:b", NULL, NULL },
		{ "pyroscope+http://h?query=cpu&max_nodes=x", NULL, NULL },
		{ "pyroscope+http://h", NULL, NULL },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cprof_query query = { 0 };
		struct cprof_error *err = cprof_query_read(cases[i].source, NOW, &query);
		if ((err == NULL) != (cases[i].text != NULL))
			TEST_FAIL("%s: %s", cases[i].source, err ? err->message : "taken");
		if (err)
			CHECK_UINT(err->code, CPROF_ERR_USAGE);
		if (!err && cases[i].text) {
			CHECK_STR(cprof_buffer_text(&query.server), cases[i].server);
			CHECK_STR(cprof_buffer_text(&query.text), cases[i].text);
			CHECK_UINT(query.until_wall_ns - query.from_wall_ns, 3600000000000ull);
		}
		cprof_error_free(err);
		cprof_query_deinit(&query);
	}
}

TEST(query_takes_a_profile_out_of_parcas_answers_and_nothing_out_of_others)
{
	static const struct {
		const struct cprof_query_backend *backend;
		const char *answer;
		size_t n;
		const char *want; /* NULL: refused */
	} cases[] = {
		{ &cprof_query_parca, "{\"a\":[{\"pprof\":1}],\"pprof\":\"Zm\\u0039v\"}", SIZE_MAX,
		  "foo" },
		{ &cprof_query_parca, "{\"pprof\":\"Zm9v\"", SIZE_MAX, "foo" },
		{ &cprof_query_parca, "{\"pprof\":\"Zm9\"v}", SIZE_MAX, "fo" },
		{ &cprof_query_parca, "{\"pprof\":\"Z?\"}", SIZE_MAX, NULL },
		{ &cprof_query_parca, "{\"total\":\"0\"}", SIZE_MAX, NULL },
		{ &cprof_query_parca, "", SIZE_MAX, NULL },
		{ &cprof_query_parca_grpc, "\0\0\0\0\5\62\3foo", 10, "foo" },
		{ &cprof_query_parca_grpc, "\0\0\0\0\7\110\1\62\3foo", 12, "foo" },
		{ &cprof_query_parca_grpc, "\1\0\0\0\5\62\3foo", 10, NULL },
		{ &cprof_query_parca_grpc, "\0\0\0\0\6\62\3foo", 10, NULL },
		{ &cprof_query_parca_grpc, "\0\0\0\0\5\62\4foo", 10, NULL },
		{ &cprof_query_parca_grpc, "\0\0\0\0\0", 5, NULL },
		{ &cprof_query_parca_grpc, "\0\0", 2, NULL },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cprof_buffer answer = { 0 };
		cprof_buffer_append(&answer, cases[i].answer,
				    cases[i].n == SIZE_MAX ? strlen(cases[i].answer) : cases[i].n);
		struct cprof_error *err = cases[i].backend->take(&answer);
		if ((err == NULL) != (cases[i].want != NULL))
			TEST_FAIL("case %zu: %s", i, err ? err->message : "taken");
		if (!err && cases[i].want)
			CHECK_STR(cprof_buffer_text(&answer), cases[i].want);
		cprof_error_free(err);
		cprof_buffer_deinit(&answer);
	}
}

TEST(json_member_passes_over_what_it_does_not_want)
{
	static const struct {
		const char *json, *want; /* NULL: not found */
	} cases[] = {
		{ "{\"m\":\"a\"}", "a" },
		{ " { \"x\" : [1, {\"m\":\"no\"}, \"]\"], \"m\" : \"yes\" }", "yes" },
		{ "{\"x\":null,\"y\":-1.5e3,\"z\":{},\"m\":\"\"}", "" },
		{ "{\"m\":\"\\u00e9\\ud83d\\ude00\\n\\/\"}", "\xc3\xa9\xf0\x9f\x98\x80\n/" },
		{ "{\"m\":1}", NULL },
		{ "{\"m\":\"\\ud83d\"}", NULL },
		{ "{\"m\":\"\\x\"}", NULL },
		{ "{\"x\":],\"m\":\"a\"}", NULL },
		{ "{\"x\":[[[[", NULL },
		{ "[\"m\"]", NULL },
		{ "{", NULL },
		{ "", NULL },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cprof_buffer out = { 0 };
		const bool found =
			cprof_json_member(cases[i].json, strlen(cases[i].json), "m", &out);
		if (found != (cases[i].want != NULL))
			TEST_FAIL("%s", cases[i].json);
		if (found && cases[i].want)
			CHECK_STR(cprof_buffer_text(&out), cases[i].want);
		cprof_buffer_deinit(&out);
	}
}

TEST(grpc_head_reads_status_and_words)
{
	static const char status[] = "Grpc-Status: 16\r\n",
			  words[] = "grpc-message:no%20token%\r\n",
			  other[] = "grpc-status: lots\r\n";
	struct cprof_grpc_head head = CPROF_GRPC_HEAD_NONE;
	cprof_grpc_head_take(&head, other, sizeof(other) - 1);
	CHECK(head.status == -1);
	cprof_grpc_head_take(&head, status, sizeof(status) - 1);
	cprof_grpc_head_take(&head, words, sizeof(words) - 1);
	CHECK(head.status == 16);
	CHECK_STR(head.words, "no token%");
}
