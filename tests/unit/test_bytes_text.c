/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes_text.h"
#include "test.h"

TEST(bytes_are_told_in_the_unit_that_fits)
{
	static const struct {
		double bytes;
		const char *tenths, *four;
	} rows[] = {
		{ 0, "0 B", "0 B" },
		{ 1023, "1023 B", "1023 B" },
		{ 1024, "1.0 KiB", "1 KiB" },
		{ 1536, "1.5 KiB", "1.5 KiB" },
		{ 4391250, "4.2 MiB", "4.188 MiB" },
		{ 0x1p40, "1.0 TiB", "1 TiB" },
		{ 0x1p63, "8.0 EiB", "8 EiB" },
		{ 0x1p80, "1048576.0 EiB", "1.049e+06 EiB" },
	};
	char text[CPROF_BYTES_TEXT];
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		CHECK_STR(cprof_bytes_text(rows[i].bytes, CPROF_BYTES_TENTHS, text),
			  rows[i].tenths);
		CHECK_STR(cprof_bytes_text(rows[i].bytes, CPROF_BYTES_FOUR, text), rows[i].four);
	}
}
