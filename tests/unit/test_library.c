/* SPDX-License-Identifier: Apache-2.0 */
#include "base/library.h"

#include <stddef.h>

#include "tests/unit/test.h"

struct libc_part {
	int (*first)(int);
	int (*second)(int);
};

TEST(library_gives_the_functions_of_a_library_that_is_there)
{
	static const struct cprof_library_row rows[] = {
		{ "tolower", offsetof(struct libc_part, second) },
		{ "toupper", offsetof(struct libc_part, first) },
	};
	struct cprof_library libc = { "libc.so.6", "glibc", rows, 2, false };
	struct libc_part part = { 0 };
	CHECK(!cprof_library_load(&libc, &part));
	CHECK_UINT(part.first('a'), 'A');
	CHECK_UINT(part.second('A'), 'a');
	const struct libc_part before = part;
	CHECK(!cprof_library_load(&libc, &part) && memcmp(&before, &part, sizeof(part)) == 0);
}

TEST(library_that_is_missing_or_lacks_a_function_is_said_with_what_to_install)
{
	static const struct {
		const char *file, *function, *want;
	} rows[] = {
		{ "libno-such.so.7", "toupper", "libno-such.so.7" },
		{ "libc.so.6", "no_such_function", "no_such_function" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct cprof_library_row row = { rows[i].function, 0 };
		struct cprof_library library = { rows[i].file, "it (Debian: that)", &row, 1,
						 false };
		struct libc_part part;
		struct cprof_error *err = cprof_library_load(&library, &part);
		CHECK(err);
		CHECK_UINT(err->code, CPROF_ERR_UNSUPPORTED);
		CHECK(strstr(err->message, rows[i].want));
		CHECK_STR(err->hint, "install it (Debian: that)");
		cprof_error_free(err);
	}
}
