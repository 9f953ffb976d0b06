/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/graph/graph_labels.h"

#include <string.h>

#include "base/printable_text.h"

static void put_filters(const struct cprof_config *config, struct cprof_buffer *out)
{
	const struct {
		const char *name, *value;
	} filters[] = {
		{ "focus", config->focus },
		{ "ignore", config->ignore },
		{ "hide", config->hide },
		{ "show", config->show },
		{ "show_from", config->show_from },
		{ "tagfocus", config->tagfocus },
		{ "tagignore", config->tagignore },
		{ "tagshow", config->tagshow },
		{ "taghide", config->taghide },
		{ "from", config->from },
		{ "to", config->to },
	};
	bool any = false;
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		if (!*filters[i].value)
			continue;
		if (!any)
			cprof_buffer_puts(out, "Active filters:\n");
		any = true;
		size_t start = out->len;
		cprof_buffer_printf(out, "   %s=", filters[i].name);
		cprof_printable_put(out, filters[i].value, strlen(filters[i].value), "");
		if (out->len - start > 3 + 80) {
			out->len = start + 3 + 80;
			while ((out->data[out->len] & 0xc0) == 0x80) /* not within a character */
				out->len--;
			cprof_buffer_puts(out, "\xe2\x80\xa6"); /* an ellipsis */
		}
		cprof_buffer_putc(out, '\n');
	}
}

static void put_dropped(const struct cprof_report *report, uint32_t n, const char *what,
			const char *value, double fraction, struct cprof_buffer *out)
{
	char text[CPROF_MEASURE_LABEL_MAX];
	if (!n)
		return;
	int64_t limit = cprof_measure_abs(cprof_measure_truncate((double)report->total * fraction));
	cprof_buffer_printf(out, "Dropped %u %s%s (%s <= %s)\n", n, what, n > 1 ? "s" : "", value,
			    cprof_report_format(report, limit, text));
}

void cprof_graph_labels(const struct cprof_graph *graph, bool full, struct cprof_buffer *out)
{
	const struct cprof_report *report = graph->report;
	char flat_text[CPROF_MEASURE_LABEL_MAX], total_text[CPROF_MEASURE_LABEL_MAX], percent[32];
	if (full || !report->config.compact_labels)
		cprof_report_profile_labels(report, out);
	put_filters(&report->config, out);

	int64_t flat = 0;
	for (uint32_t i = 0; i < graph->n_order; i++)
		flat = cprof_measure_add(flat, cprof_node_flat(&graph->nodes[graph->order[i]]));
	cprof_measure_percentage(percent, flat, report->total);
	cprof_buffer_printf(out, "Showing nodes accounting for %s, %s of %s total\n",
			    cprof_report_format(report, flat, flat_text),
			    percent + strspn(percent, " "),
			    cprof_report_format(report, report->total, total_text));
	if (report->total) {
		put_dropped(report, graph->dropped_nodes, "node", "cum",
			    report->config.nodefraction, out);
		put_dropped(report, full ? graph->dropped_edges : 0, "edge", "freq",
			    report->config.edgefraction, out);
		if (graph->n_order > 0 && graph->n_order < graph->original_nodes)
			cprof_buffer_printf(out, "Showing top %u nodes out of %u\n", graph->n_order,
					    graph->original_nodes);
	}
	if (full)
		cprof_buffer_puts(out, "\nSee https://git.io/JfYMW for how to read the graph\n");
}
