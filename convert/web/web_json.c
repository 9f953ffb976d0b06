/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/web/web_json.h"

#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/graph/graph_labels.h"
#include "convert/output/json.h"
#include "convert/output/node_json.h"

static void put_lines(FILE *out, const char *text)
{
	const char *separator = "";
	while (*text) {
		CPROF_AUTO(buffer) struct cprof_buffer line = { 0 };
		size_t n = strcspn(text, "\n");
		cprof_buffer_append(&line, text, n);
		fputs(separator, out);
		cprof_json_put_string(out, cprof_buffer_text(&line));
		separator = ",";
		text += n + (text[n] == '\n');
	}
}

void cprof_web_json_head(const struct cprof_report *report, const struct cprof_graph *graph,
			 FILE *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer labels = { 0 };
	if (graph)
		cprof_graph_labels(graph, false, &labels);
	else
		cprof_report_profile_labels(report, &labels);
	cprof_node_json_head(report, "title", out);
	fprintf(out, ",\"total\":%" PRId64 ",\"ratio\":%.17g,\"labels\":[", report->total,
		report->ratio);
	put_lines(out, cprof_buffer_text(&labels));
	fputc(']', out);
}
