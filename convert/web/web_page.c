/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/web/web_page.h"

#include <string.h>

#include "convert/output/format_table.h"

static const struct cprof_web_page pages[] = {
	{ "flamegraph", &cprof_web_flame, &cprof_format_folded, NULL, NULL, false },
	{ "top", &cprof_web_top, &cprof_format_top, NULL, NULL, false },
	{ "graph", &cprof_web_graph, &cprof_format_dot, NULL, NULL, false },
	{ "peek", &cprof_web_peek, &cprof_format_peek, NULL, NULL, false },
	{ "source", &cprof_web_source, &cprof_format_list, &cprof_web_whole_source, NULL, false },
	{ "disasm", &cprof_web_disasm, &cprof_format_disasm, NULL, NULL, false },
	{ "traces", &cprof_web_traces, &cprof_format_traces, NULL, NULL, false },
	{ "movements", &cprof_format_movements_json, &cprof_format_movements, NULL, NULL, false },
	{ "leaks", &cprof_format_leaks_json, &cprof_format_leaks, NULL, NULL, false },
	{ .name = "time", .json = &cprof_web_time, .text = &cprof_web_time, .is_strip = true },
	{ "download", &cprof_format_proto, &cprof_format_proto, NULL, "profile.pb.gz", false },
};

const struct cprof_web_page *cprof_web_page_find(const char *path)
{
	const char *name = path + (*path == '/');
	if (!*name)
		return &pages[0];
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (strcmp(pages[i].name, name) == 0)
			return &pages[i];
	}
	return NULL;
}
