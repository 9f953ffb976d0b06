/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/output/dot_tags.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/graph/dot_text.h"

#define MAX_TAGS 4

/* A tag, or several numbers taken together ("1MB..2MB"). */
struct shown {
	char name[2 * CPROF_MEASURE_LABEL_MAX];
	const struct cprof_tag *first;
	int64_t flat, flat_div, cum, cum_div;
};

struct boxes {
	const struct cprof_report *report;
	FILE *out;
	bool flat; /* inner nodes show flat weight; leaves show cum, which counts what is not drawn */
	bool any;
	uint64_t n_cut; /* texts that there was no room for */
};

static int by_size(int64_t a, int64_t b)
{
	uint64_t x = (uint64_t)cprof_measure_abs(a), y = (uint64_t)cprof_measure_abs(b);
	return (x < y) - (x > y);
}

static int compare_shown(const void *a, const void *b, void *boxes)
{
	const struct shown *x = a, *y = b;
	int order = ((const struct boxes *)boxes)->flat ? 0 : by_size(x->cum, y->cum);
	if (!order)
		order = by_size(x->flat, y->flat);
	return order ? order : strcmp(x->name, y->name);
}

static void sort_shown(struct boxes *boxes, struct shown *shown, size_t n)
{
	if (shown && n)
		qsort_r(shown, n, sizeof(*shown), compare_shown, boxes);
}

static const char *unit_of(const struct boxes *boxes, const struct cprof_tag *tag)
{
	return cprof_profile_text(boxes->report->profile, tag->unit);
}

static double distance(const struct boxes *boxes, const struct cprof_tag *a,
		       const struct cprof_tag *b)
{
	double v = cprof_measure_scale(b->value, unit_of(boxes, b), unit_of(boxes, a)).value;
	return v < (double)a->value ? (double)a->value - v : v - (double)a->value;
}

/* Take `from` into `into`, and widen the range from *low to *high. */
static void join(const struct boxes *boxes, struct shown *into, const struct shown *from,
		 const struct cprof_tag **low, const struct cprof_tag **high)
{
	const struct cprof_tag *tag = from->first;
	const char *unit = unit_of(boxes, tag);
	if (cprof_measure_truncate(
		    cprof_measure_scale(tag->value, unit, unit_of(boxes, *low)).value) <
	    (*low)->value)
		*low = tag;
	if (cprof_measure_truncate(
		    cprof_measure_scale(tag->value, unit, unit_of(boxes, *high)).value) >
	    (*high)->value)
		*high = tag;
	into->flat = cprof_measure_add(into->flat, from->flat);
	into->flat_div = cprof_measure_add(into->flat_div, from->flat_div);
	into->cum = cprof_measure_add(into->cum, from->cum);
	into->cum_div = cprof_measure_add(into->cum_div, from->cum_div);
}

/* The heaviest MAX_TAGS stay; each other goes to the nearest of them. */
static size_t collapse(struct boxes *boxes, struct shown *shown, size_t n)
{
	sort_shown(boxes, shown, n);
	if (n <= MAX_TAGS)
		return n;
	const struct cprof_tag *low[MAX_TAGS], *high[MAX_TAGS];
	bool joined[MAX_TAGS] = { false };
	for (size_t i = 0; i < MAX_TAGS; i++)
		low[i] = high[i] = shown[i].first;
	for (size_t i = MAX_TAGS; i < n; i++) {
		size_t nearest = 0;
		double least = distance(boxes, shown[i].first, shown[0].first);
		for (size_t j = 1; j < MAX_TAGS; j++) {
			double d = distance(boxes, shown[i].first, shown[j].first);
			if (d < least) {
				nearest = j;
				least = d;
			}
		}
		join(boxes, &shown[nearest], &shown[i], &low[nearest], &high[nearest]);
		joined[nearest] = true;
	}
	for (size_t i = 0; i < MAX_TAGS; i++) {
		char from[CPROF_MEASURE_LABEL_MAX], to[CPROF_MEASURE_LABEL_MAX];
		cprof_measure_label_text(from, low[i]->value, unit_of(boxes, low[i]), "auto");
		cprof_measure_label_text(to, high[i]->value, unit_of(boxes, high[i]), "auto");
		snprintf(shown[i].name, sizeof(shown[i].name), joined[i] ? "%s..%s" : "%s", from,
			 to);
		shown[i].flat = cprof_measure_divide(shown[i].flat, shown[i].flat_div);
		shown[i].cum = cprof_measure_divide(shown[i].cum, shown[i].cum_div);
		shown[i].flat_div = shown[i].cum_div = 0;
	}
	sort_shown(boxes, shown, MAX_TAGS);
	return MAX_TAGS;
}

static const char *format_value(const struct boxes *boxes, int64_t value, struct cprof_buffer *text)
{
	char plain[CPROF_MEASURE_LABEL_MAX];
	cprof_report_format(boxes->report, value, plain);
	cprof_dot_text_put(text, plain, strlen(plain), CPROF_DOT_LEFT);
	return cprof_buffer_text(text);
}

/* `name` is in Graphviz's language. */
static void put_box(struct boxes *boxes, const char *source, size_t number, const char *name,
		    int64_t weight)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	fprintf(boxes->out,
		"%s_%zu [label = \"%s\" id=\"%s_%zu\" fontsize=8 shape=box3d tooltip=\"%s\"]\n",
		source, number, name, source, number, format_value(boxes, weight, &text));
	boxes->any = true;
}

static void put_line(struct boxes *boxes, const char *from, const char *source, size_t number,
		     int64_t weight, const char *style)
{
	CPROF_AUTO(buffer) struct cprof_buffer value = { 0 };
	const char *text = format_value(boxes, weight, &value);
	fprintf(boxes->out,
		"%s -> %s_%zu [label=\" %s\" weight=100 tooltip=\"%s\" labeltooltip=\"%s\"%s]\n",
		from, source, number, text, text, text, style);
}

/* Numbers that stand beside the text labels `group` (0: beside none). */
static struct cprof_error *put_numbers(struct boxes *boxes, struct cprof_graph *graph,
				       uint32_t node, uint32_t group, const char *source)
{
	struct shown *shown = NULL;
	uint32_t n = 0, room = 0;
	for (uint32_t i = graph->nodes[node].first_tag; i != CPROF_GRAPH_NONE;
	     i = graph->tags[i].next) {
		const struct cprof_tag *tag = &graph->tags[i];
		if (tag->removed || !tag->is_num || tag->group != group)
			continue;
		struct cprof_error *err = cprof_profile_grow(&shown, n, &room, 1, sizeof(*shown));
		if (err || !shown) {
			free(shown);
			return err;
		}
		shown[n] = (struct shown){ .first = tag,
					   .flat = tag->flat,
					   .flat_div = tag->flat_div,
					   .cum = tag->cum,
					   .cum_div = tag->cum_div };
		snprintf(shown[n++].name, sizeof(shown->name), "%s",
			 cprof_profile_text(boxes->report->profile, tag->name));
	}
	size_t kept = collapse(boxes, shown, n);
	for (size_t i = 0; shown && i < kept; i++) {
		int64_t flat = cprof_measure_divide(shown[i].flat, shown[i].flat_div);
		int64_t cum = cprof_measure_divide(shown[i].cum, shown[i].cum_div);
		bool plain = boxes->flat || flat == cum;
		int64_t weight = plain ? flat : cum;
		if (!weight)
			continue;
		char boxed[64];
		snprintf(boxed, sizeof(boxed), "N%s", source);
		CPROF_AUTO(buffer) struct cprof_buffer name = { 0 };
		cprof_dot_text_put(&name, shown[i].name, strlen(shown[i].name), CPROF_DOT_LEFT);
		put_box(boxes, boxed, i, cprof_buffer_text(&name), weight);
		put_line(boxes, source, boxed, i, weight, plain ? "" : " style=\"dotted\"");
	}
	free(shown);
	return NULL;
}

static struct cprof_error *put_texts(struct boxes *boxes, struct cprof_graph *graph, uint32_t node,
				     const char *source)
{
	struct shown *shown = NULL;
	uint32_t n = 0, room = 0;
	struct cprof_error *err = NULL;
	for (uint32_t i = graph->nodes[node].first_tag; !err && i != CPROF_GRAPH_NONE;
	     i = graph->tags[i].next) {
		const struct cprof_tag *tag = &graph->tags[i];
		if (tag->removed || tag->is_num)
			continue;
		err = cprof_profile_grow(&shown, n, &room, 1, sizeof(*shown));
		if (err || !shown)
			break;
		shown[n] = (struct shown){ .first = tag,
					   .flat = tag->flat,
					   .flat_div = tag->flat_div,
					   .cum = tag->cum,
					   .cum_div = tag->cum_div };
		snprintf(shown[n++].name, sizeof(shown->name), "%s",
			 cprof_profile_text(boxes->report->profile, tag->name));
	}
	if (!err)
		sort_shown(boxes, shown, n);
	for (uint32_t i = 0; !err && shown && i < n; i++) {
		int64_t weight = boxes->flat
					 ? cprof_measure_divide(shown[i].flat, shown[i].flat_div)
					 : cprof_measure_divide(shown[i].cum, shown[i].cum_div);
		if (!weight)
			continue;
		if (i >= MAX_TAGS) {
			boxes->n_cut++;
			continue;
		}
		const char *name = cprof_profile_text(boxes->report->profile, shown[i].first->name);
		char own[64];
		snprintf(own, sizeof(own), "%s_%u", source, i);
		put_box(boxes, source, i, name, weight);
		put_line(boxes, source, source, i, weight, "");
		err = put_numbers(boxes, graph, node, shown[i].first->name, own);
	}
	free(shown);
	return err;
}

static bool has_callees(const struct cprof_graph *graph, uint32_t node)
{
	for (uint32_t e = graph->nodes[node].first_out; e != CPROF_GRAPH_NONE;
	     e = graph->edges[e].next_out) {
		if (!graph->edges[e].removed)
			return true;
	}
	return false;
}

struct cprof_error *cprof_dot_tags_write(struct cprof_graph *graph, uint32_t node, uint32_t id,
					 FILE *out, bool *ret_any, uint64_t *n_cut)
{
	struct boxes boxes = { .report = graph->report,
			       .out = out,
			       .flat = has_callees(graph, node) };
	char source[32];
	snprintf(source, sizeof(source), "N%u", id);
	struct cprof_error *err = put_texts(&boxes, graph, node, source);
	if (!err)
		err = put_numbers(&boxes, graph, node, 0, source);
	*ret_any = boxes.any;
	*n_cut += boxes.n_cut;
	return err;
}
