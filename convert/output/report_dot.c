/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/report_dot.c - dot: the call graph in Graphviz's language, and everything drawn from it.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "convert/graph/dot_text.h"
#include "convert/graph/graph.h"
#include "convert/graph/graph_labels.h"
#include "convert/output/dot_tags.h"
#include "convert/output/shorten.h"

#define NAME_BYTES 4000u /* of a name; Graphviz draws no box that is wider than 65,535 points */

struct drawing {
	struct cprof_report *report;
	struct cprof_graph *graph;
	FILE *out;
	struct cprof_shortener *shortener;
	uint32_t *ids;  /* by node; 0: not drawn */
	bool *has_tags; /* by node */
	double max_flat;
	uint64_t n_cut; /* labels of nodes that have more than are drawn */
};

static void put_escaped(struct cprof_buffer *out, const char *text, size_t n)
{
	cprof_dot_text_put(out, text, n, CPROF_DOT_LEFT);
}

/* A value of the report's as a part of such a text; `text` is emptied before. The unit is the profile's, so it may be anything. */
static const char *format_value(const struct drawing *d, int64_t value, struct cprof_buffer *text)
{
	char plain[CPROF_MEASURE_LABEL_MAX];
	cprof_report_format(d->report, value, plain);
	text->len = 0;
	put_escaped(text, plain, strlen(plain));
	return cprof_buffer_text(text);
}

/* "#rrggbb" for a score from -1 (blue) over 0 (grey) to 1 (red); pale for backgrounds. */
static void format_color(char *text, size_t room, double score, bool background)
{
	const double shift = 0.7; /* how far small scores are moved away from grey */
	double saturation = background ? 0.1 : 1.0;
	double value = background ? 0.93 : 0.7;
	score = fmax(-1, fmin(1, score));
	if (fabs(score) < 0.2)
		saturation *= fabs(score) / 0.2;
	if (score > 0)
		score = pow(score, 1 - shift);
	if (score < 0)
		score = -pow(-score, 1 - shift);
	double red = score < 0 ? value * (1 + saturation * score) : value;
	double green = score < 0 ? red : value * (1 - saturation * score);
	double blue = score < 0 ? value : value * (1 - saturation);
	snprintf(text, room, "#%02x%02x%02x", (unsigned)(red * 255), (unsigned)(green * 255),
		 (unsigned)(blue * 255));
}

static double part_of_total(const struct drawing *d, int64_t value)
{
	double part = (double)value / (double)cprof_measure_abs(d->report->total);
	return isnan(part) ? 0 : part;
}

static void put_legend(struct drawing *d)
{
	CPROF_AUTO(buffer) struct cprof_buffer labels = { 0 }, text = { 0 };
	cprof_graph_labels(d->graph, true, &labels);
	if (labels.len)
		labels.len--; /* the last line's end is Graphviz's */
	const char *lines = cprof_buffer_text(&labels);
	put_escaped(&text, lines, strcspn(lines, "\n"));
	fprintf(d->out, "subgraph cluster_L { \"%s\" [shape=box fontsize=16",
		cprof_buffer_text(&text));
	text.len = 0;
	put_escaped(&text, lines, labels.len);
	fprintf(d->out, " label=\"%s\\l\"", cprof_buffer_text(&text));
	const char *title = cprof_report_title(d->report);
	text.len = 0;
	put_escaped(&text, title, strlen(title));
	if (*title)
		fprintf(d->out, " tooltip=\"%s\"", cprof_buffer_text(&text));
	fputs("] }\n", d->out);
}

/* Scopes one below the other; Go's type parameters stay on their line. */
static void put_scopes(const char *name, struct cprof_buffer *out)
{
	for (const char *at = name; *at;) {
		if (strncmp(at, "[...]", 5) == 0) {
			cprof_buffer_puts(out, "[\xe2\x80\xa6]");
			at += 5;
		} else if (strncmp(at, "::", 2) == 0) {
			cprof_buffer_putc(out, '\n');
			at += 2;
		} else {
			cprof_buffer_putc(out, *at == '.' ? '\n' : *at);
			at++;
		}
	}
}

/* The name in several lines. */
static void put_name(struct drawing *d, const struct cprof_node_info *info,
		     struct cprof_buffer *out)
{
	const struct cprof_profile *p = d->report->profile;
	CPROF_AUTO(buffer) struct cprof_buffer name = { 0 }, cut = { 0 };
	CPROF_AUTO(buffer) struct cprof_buffer scopes = { 0 }, lines = { 0 };
	cprof_shortener_shorten(d->shortener, cprof_profile_text(p, info->name), &name);
	cprof_shorten_middle(cprof_buffer_text(&name), NAME_BYTES, &cut);
	put_scopes(cprof_buffer_text(&cut), &scopes);
	const char *file = cprof_profile_text(p, info->file);
	cprof_node_infos_compose(&d->graph->infos, info, cprof_buffer_text(&scopes),
				 *file ? cprof_path_base(file) : "", "\n", &lines);
	cprof_dot_text_put(out, cprof_buffer_text(&lines), lines.len, CPROF_DOT_CENTER);
	cprof_buffer_puts(out, CPROF_DOT_CENTER);
}

static void put_value(struct drawing *d, int64_t value, const char *prefix,
		      struct cprof_buffer *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	char part[32];
	cprof_measure_percentage(part, value, d->report->total);
	cprof_buffer_printf(out, "%s%s (%s)", prefix, format_value(d, value, &text),
			    part + strspn(part, " "));
}

static int font_size(const struct drawing *d, int64_t flat)
{
	double size = fabs((double)flat);
	if (d->max_flat == 0 || flat == 0 || size > d->max_flat)
		return 8;
	return 8 + (int)ceil(16 * sqrt(size / d->max_flat));
}

static struct cprof_error *put_node(struct drawing *d, uint32_t index)
{
	const struct cprof_node *node = &d->graph->nodes[index];
	int64_t flat = cprof_node_flat(node), cum = cprof_node_cum(node);
	CPROF_AUTO(buffer) struct cprof_buffer label = { 0 }, tooltip = { 0 }, value = { 0 };
	put_name(d, cprof_graph_info(d->graph, node), &label);
	if (flat)
		put_value(d, flat, "", &label);
	else
		cprof_buffer_putc(&label, '0');
	if (cum != flat)
		put_value(d, cum, flat ? "\\nof " : " of ", &label);

	const char *name = cprof_graph_name(d->graph, index);
	char color[16], fill[16];
	put_escaped(&tooltip, name, strlen(name));
	format_color(color, sizeof(color), part_of_total(d, cum), false);
	format_color(fill, sizeof(fill), part_of_total(d, cum), true);
	fprintf(d->out,
		"N%u [label=\"%s\" id=\"node%u\" fontsize=%d shape=box tooltip=\"%s (%s)\" color=\"%s\" fillcolor=\"%s\"]\n",
		d->ids[index], cprof_buffer_text(&label), d->ids[index], font_size(d, flat),
		cprof_buffer_text(&tooltip), format_value(d, cum, &value), color, fill);
	struct cprof_error *err = cprof_buffer_error(&label);
	return err ? err
		   : cprof_dot_tags_write(d->graph, index, d->ids[index], d->out,
					  &d->has_tags[index], &d->n_cut);
}

static int64_t at_most(int64_t value, int64_t limit)
{
	return value < limit ? value : limit;
}

static void put_edge(struct drawing *d, uint32_t index)
{
	const struct cprof_edge *edge = &d->graph->edges[index];
	int64_t weight = cprof_graph_edge_weight(d->graph, index), total = d->report->total;
	CPROF_AUTO(buffer) struct cprof_buffer value = { 0 };
	char color[16];
	const char *text = format_value(d, weight, &value);
	fprintf(d->out, "N%u -> N%u [label=\" %s%s\"", d->ids[edge->src], d->ids[edge->dest], text,
		edge->is_inline ? "\\n (inline)" : "");
	if (total) {
		int64_t pull =
			at_most(cprof_measure_abs((int64_t)((uint64_t)weight * 100) / total), 100);
		int64_t width =
			at_most(cprof_measure_abs((int64_t)((uint64_t)weight * 5) / total), 5);
		if (pull > 0)
			fprintf(d->out, " weight=%d", (int)pull + 1);
		if (width > 0)
			fprintf(d->out, " penwidth=%d", (int)width + 1);
		format_color(color, sizeof(color), part_of_total(d, weight), false);
		fprintf(d->out, " color=\"%s\"", color);
	}
	CPROF_AUTO(buffer) struct cprof_buffer tooltip = { 0 };
	const char *src = cprof_graph_name(d->graph, edge->src);
	const char *dest = cprof_graph_name(d->graph, edge->dest);
	put_escaped(&tooltip, src, strlen(src));
	cprof_buffer_puts(&tooltip, edge->residual ? " ... " : " -> ");
	put_escaped(&tooltip, dest, strlen(dest));
	fprintf(d->out, " tooltip=\"%s (%s)\" labeltooltip=\"%s (%s)\"%s%s]\n",
		cprof_buffer_text(&tooltip), text, cprof_buffer_text(&tooltip), text,
		edge->residual ? " style=\"dotted\"" : "",
		d->has_tags[edge->src] ? " minlen=2" : "");
}

static struct cprof_error *put_edges(struct drawing *d)
{
	struct cprof_graph *g = d->graph;
	CPROF_AUTO(free) uint32_t *edges = calloc((size_t)g->n_edges + 1, sizeof(*edges));
	if (!edges)
		return cprof_error_no_memory();
	uint32_t n = 0;
	for (uint32_t i = 0; i < g->n_edges; i++) {
		if (!g->edges[i].removed && d->ids[g->edges[i].src])
			edges[n++] = i;
	}
	cprof_graph_sort_edges(g, edges, n);
	for (uint32_t i = 0; i < n; i++)
		put_edge(d, edges[i]);
	return NULL;
}

static struct cprof_error *draw(struct drawing *d)
{
	const struct cprof_graph *g = d->graph;
	const char *title = cprof_report_title(d->report);
	CPROF_AUTO(buffer) struct cprof_buffer name = { 0 };
	put_escaped(&name, title, strlen(title));
	fprintf(d->out, "digraph \"%s\" {\nnode [style=filled fillcolor=\"#f8f8f8\"]\n",
		*title ? cprof_buffer_text(&name) : "unnamed");
	put_legend(d);
	for (uint32_t i = 0; i < g->n_order; i++) {
		double flat = fabs((double)cprof_node_flat(&g->nodes[g->order[i]]));
		d->max_flat = fmax(d->max_flat, flat);
		d->ids[g->order[i]] = i + 1;
	}
	struct cprof_error *err = NULL;
	for (uint32_t i = 0; !err && i < g->n_order; i++)
		err = put_node(d, g->order[i]);
	if (!err)
		err = put_edges(d);
	fputs("}\n", d->out);
	return err;
}

static struct cprof_error *write_dot(struct cprof_report *report, FILE *out)
{
	CPROF_AUTO(graph) struct cprof_graph *graph = NULL;
	CPROF_AUTO(shortener) struct cprof_shortener *shortener = NULL;
	struct cprof_error *err =
		cprof_graph_trimmed(report, CPROF_GRAPH_EDGES | CPROF_GRAPH_TAGS, &graph);
	if (!err)
		err = cprof_shortener_new(&shortener);
	if (err)
		return err;
	CPROF_AUTO(free) uint32_t *ids = calloc((size_t)graph->n_nodes + 1, sizeof(*ids));
	CPROF_AUTO(free) bool *has_tags = calloc((size_t)graph->n_nodes + 1, sizeof(*has_tags));
	if (!ids || !has_tags)
		return cprof_error_no_memory();
	struct drawing drawing = { .report = report,
				   .graph = graph,
				   .out = out,
				   .shortener = shortener,
				   .ids = ids,
				   .has_tags = has_tags };
	err = draw(&drawing);
	if (drawing.n_cut)
		cprof_buffer_printf(&report->warnings,
				    "not drawn: %" PRIu64
				    " of the labels, for a node has room for four\n",
				    drawing.n_cut);
	return err;
}

/* The same text, drawn by Graphviz into `type` and shown in `shown_in`. */
#define DRAWN(id, type, shown_in, text)                                                            \
	const struct cprof_format cprof_format_##id = {                                            \
		.name = #id,                                                                       \
		.help = (text),                                                                    \
		.suffix = (type),                                                                  \
		.flags = CPROF_FORMAT_GRAPH | CPROF_FORMAT_BINARY,                                 \
		.graphviz = (type),                                                                \
		.viewer = (shown_in),                                                              \
		.write = write_dot,                                                                \
	}

const struct cprof_format cprof_format_dot = {
	.name = "dot",
	.help = "the call graph in Graphviz's language",
	.suffix = "dot",
	.flags = CPROF_FORMAT_GRAPH,
	.write = write_dot,
};
DRAWN(svg, "svg", NULL, "the call graph as SVG, drawn by Graphviz");
DRAWN(png, "png", NULL, "the call graph as PNG");
DRAWN(gif, "gif", NULL, "the call graph as GIF");
DRAWN(pdf, "pdf", NULL, "the call graph as PDF");
DRAWN(ps, "ps", NULL, "the call graph as PostScript");
DRAWN(web, "svg", "web", "the call graph as SVG, shown in a browser");
DRAWN(eog, "svg", "eog", "the same, shown in eog");
DRAWN(evince, "pdf", "evince", "the same as PDF, shown in evince");
DRAWN(gv, "ps", "gv --noantialias", "the same as PostScript, shown in gv");
