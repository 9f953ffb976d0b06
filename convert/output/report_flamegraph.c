/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/report_flamegraph.c - flamegraph: one HTML file that shows all stacks and needs nothing else.
 *
 * The page is made at build time (assets/join.cmake), its data by flame_data.h; together they stay below a megabyte.
 */
#include <string.h>

#include "convert/output/assets.h"
#include "convert/output/flame_data.h"

static struct cprof_error *write_flamegraph(struct cprof_report *report, FILE *out)
{
	static const char marker[] = "@DATA@";
	const char *page = cprof_asset_flamegraph;
	const char *at = memmem(page, cprof_asset_flamegraph_len, marker, sizeof(marker) - 1);
	if (!at)
		return cprof_error_new(CPROF_ERR_BAD_DATA,
				       "the flame graph page has no place for data");
	fwrite(page, 1, (size_t)(at - page), out);
	struct cprof_error *err = cprof_flame_data_write(report, out);
	at += sizeof(marker) - 1;
	fwrite(at, 1, cprof_asset_flamegraph_len - (size_t)(at - page), out);
	return err;
}

const struct cprof_format cprof_format_flamegraph = {
	.name = "flamegraph",
	.help = "a flame graph as one HTML file, with search and zoom; needs no network",
	.suffix = "html",
	.flags = CPROF_FORMAT_NO_TRIM | CPROF_FORMAT_BINARY | CPROF_FORMAT_ANY_STRING |
		 CPROF_FORMAT_ALL_TYPES | CPROF_FORMAT_PLACES,
	.write = write_flamegraph,
};
