/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/test_shorten.c - names in the boxes of a graph: what is cut off is what pprof cuts off.
 */
#include "convert/output/shorten.h"

#include "base/cleanup.h"
#include "tests/unit/test.h"

TEST(names_in_boxes_are_as_short_as_pprof_makes_them)
{
	static const char *const rows[][2] = {
		{ "github.com/google/pprof/profile.(*Profile).Parse", "profile.(*Profile).Parse" },
		{ "example.com/mod/v2/pkg.Do", "pkg.Do" },
		{ "example.com/mod/v12.Do", "mod.Do" },
		{ "runtime.mallocgc", "runtime.mallocgc" },
		/* No package of Go's: async-profiler writes classes with slashes. */
		{ "java/util/HashMap/get", "java/util/HashMap/get" },
		{ "java/util/HashMap.get", "HashMap.get" },
		{ "java.util.HashMap.get", "HashMap.get" },
		{ "com.example.Main$Inner.lambda$0", "Main$Inner.lambda$0" },
		{ "ns::inner::Class::method", "Class::method" },
		{ "(anonymous namespace)::work", "work" },
		{ "main", "main" },
		{ "", "" },
	};
	struct cprof_shortener *shortener = NULL;
	CHECK(!cprof_shortener_new(&shortener));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CPROF_AUTO(buffer) struct cprof_buffer out = { 0 };
		cprof_shortener_shorten(shortener, rows[i][0], &out);
		CHECK_STR(cprof_buffer_text(&out), rows[i][1]);
	}
	cprof_shortener_free(shortener);
}
