/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/net/source_url.h"

#include <string.h>

#include "convert/net/remote_symbols.h"
#include "tests/unit/test.h"

TEST(source_url_reads_what_go_tool_pprof_takes_for_a_url)
{
	static const struct {
		const char *source;
		int64_t seconds;
		const char *want; /* NULL: a file */
		int64_t want_seconds, want_timeout_s;
		bool insecure;
	} rows[] = {
		{ "http://h/p", -1, "http://h/p", 0, 65, false },
		{ "h:6060/debug/pprof/heap", -1, "http://h:6060/debug/pprof/heap", 0, 65, false },
		{ "h:6060", -1, "http://h:6060/debug/pprof/profile", 0, 65, false },
		{ "http://h", 10, "http://h/debug/pprof/profile?seconds=10", 10, 20, false },
		{ "http://h/?debug=1", -1, "http://h/debug/pprof/profile?debug=1", 0, 65, false },
		{ "https://h:1/p?a=1&seconds=5&b=2", -1, "https://h:1/p?a=1&seconds=5&b=2", 5, 12,
		  false },
		{ "https://h:1/p?a=1&seconds=5&b=2", 30, "https://h:1/p?a=1&b=2&seconds=30", 30, 50,
		  false },
		{ "https+insecure://h/p", -1, "https://h/p", 0, 65, true },
		{ "h/p", -1, NULL, 0, 0, false },
		{ "dir/file:1", -1, NULL, 0, 0, false },
		{ "file:1x", -1, NULL, 0, 0, false },
		{ "ftp://h/p", -1, NULL, 0, 0, false },
		{ "", -1, NULL, 0, 0, false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_source_url url = { 0 };
		bool is_url = cprof_source_url_read(rows[i].source, rows[i].seconds, -1, &url);
		if (is_url != (rows[i].want != NULL))
			TEST_FAIL("%s: %s a URL", rows[i].source, is_url ? "is" : "is not");
		if (is_url) {
			CHECK_STR(cprof_buffer_text(&url.text), rows[i].want);
			CHECK_UINT(url.seconds, rows[i].want_seconds);
			CHECK_UINT(url.timeout_s, rows[i].want_timeout_s);
			CHECK(url.insecure == rows[i].insecure);
		}
		cprof_buffer_deinit(&url.text);
	}
}

TEST(source_url_finds_the_symbols_beside_the_profile)
{
	static const struct {
		const char *url, *want;
	} rows[] = {
		{ "http://h/debug/pprof/heap?debug=1", "http://h/debug/pprof/symbol" },
		{ "http://h/pid/12/debug/pprof/block", "http://h/pid/12/debug/pprof/symbol" },
		{ "http://h:1/pprof/growth", "http://h:1/pprof/symbol" },
		{ "http://h:1/heapz?x=/pprof/heap", "http://h:1/symbolz" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_buffer got = { 0 };
		cprof_source_url_symbols(rows[i].url, &got);
		CHECK_STR(cprof_buffer_text(&got), rows[i].want);
		cprof_buffer_deinit(&got);
	}
}

TEST(remote_symbols_are_given_to_the_addresses_that_have_no_name)
{
	static const char answer[] =
		"num_symbols: 1\n0x10 main\n0x20\tstd::sort(int*, int*)\nnonsense\n0x30\n"
		"0x40 other\n0xfffffffffffffffff too long\n";
	struct cprof_profile *p;
	CHECK(!cprof_profile_new(&p));
	CHECK(!cprof_profile_add_mapping(p, &(struct cprof_mapping){ 0 }, NULL));
	for (uint64_t address = 0x10; address <= 0x50; address += 0x10)
		CHECK(!cprof_profile_add_location(
			p,
			&(struct cprof_location){ .address = address, .mapping = address != 0x40 },
			NULL, 0, NULL));
	CHECK(!cprof_remote_symbols_take(p, 1, answer, strlen(answer)));
	static const char *const names[] = { "main", "std::sort(int*, int*)", NULL, NULL, NULL };
	for (uint32_t i = 0; i < 5; i++) {
		CHECK_UINT(p->locations[i].n_lines, names[i] != NULL);
		if (names[i])
			CHECK_STR(
				cprof_profile_text(
					p,
					p->functions[p->lines[p->locations[i].first_line].function]
						.name),
				names[i]);
	}
	CHECK(p->mappings[0].has_functions);
	cprof_profile_free(p);
}
