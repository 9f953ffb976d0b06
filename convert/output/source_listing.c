/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/output/source_listing.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define MARGIN 5 /* lines shown before the first sample and after the last */

void cprof_source_listing_deinit(struct cprof_source_listing *listing)
{
	free(listing->routines);
	free(listing->nodes);
	*listing = (struct cprof_source_listing){ 0 };
}

static const struct cprof_node_info *info_of(const struct cprof_graph *graph, uint32_t node)
{
	return cprof_graph_info(graph, &graph->nodes[node]);
}

/* Group the nodes of one function by file; those of no file only count where there is no other. */
static struct cprof_error *add_function(struct cprof_source_listing *listing,
					struct cprof_graph *graph, uint32_t first, uint32_t end)
{
	uint32_t *nodes = listing->nodes + first, n = end - first;
	uint32_t name = info_of(graph, nodes[0])->name;
	cprof_graph_sort(graph, nodes, n, CPROF_ORDER_FILE);
	bool any = info_of(graph, nodes[n - 1])->file != 0;
	for (uint32_t at = 0; at < n;) {
		uint32_t file = info_of(graph, nodes[at])->file, stop = at;
		while (stop < n && info_of(graph, nodes[stop])->file == file)
			stop++;
		if (file || !any) {
			struct cprof_error *err = cprof_profile_grow(
				&listing->routines, listing->n_routines, &listing->routines_room, 1,
				sizeof(*listing->routines));
			if (err)
				return err;
			listing->routines[listing->n_routines++] =
				(struct cprof_source_routine){ name, file, any, first + at,
							       stop - at };
		}
		if (!any)
			return NULL;
		at = stop;
	}
	return NULL;
}

struct cprof_error *cprof_source_listing_init(struct cprof_source_listing *listing,
					      struct cprof_graph *graph, struct cprof_regex *symbol)
{
	const struct cprof_profile *p = graph->report->profile;
	listing->nodes = calloc((size_t)graph->n_order + 1, sizeof(*listing->nodes));
	if (!listing->nodes)
		return cprof_error_no_memory();
	uint32_t n = 0;
	for (uint32_t i = 0; i < graph->n_order; i++) {
		uint32_t name = info_of(graph, graph->order[i])->name;
		if (cprof_regex_match(symbol, cprof_profile_text(p, name)))
			listing->nodes[n++] = graph->order[i];
	}
	listing->n_nodes = n;
	cprof_graph_sort(graph, listing->nodes, n, CPROF_ORDER_NAME);
	for (uint32_t i = 0, end; i < n; i = end) {
		uint32_t name = info_of(graph, listing->nodes[i])->name;
		for (end = i; end < n && info_of(graph, listing->nodes[end])->name == name;)
			end++;
		struct cprof_error *err = add_function(listing, graph, i, end);
		if (err)
			return err;
	}
	return NULL;
}

struct cprof_error *cprof_source_listing_open(struct cprof_report *report,
					      struct cprof_source_listing *listing,
					      struct cprof_graph **ret_graph,
					      struct cprof_source_files **ret_files)
{
	struct cprof_error *err = cprof_graph_new(report, 0, ret_graph);
	if (!err)
		err = cprof_source_listing_init(listing, *ret_graph, report->symbol);
	if (!err && listing->n_routines == 0)
		err = cprof_error_new(CPROF_ERR_BAD_DATA, "no matches found for regexp: %s",
				      report->symbol_text);
	return err ? err
		   : cprof_source_files_new(report->config.source_path, report->config.trim_path,
					    ret_files);
}

struct cprof_source_range cprof_source_listing_range(const struct cprof_graph *graph,
						     const uint32_t *nodes, uint32_t n)
{
	const struct cprof_node_info *first = info_of(graph, nodes[0]);
	struct cprof_source_range range = {
		.first = first->start_line ? first->start_line
					   : cprof_measure_subtract(first->line, MARGIN),
		.last = cprof_measure_add(first->line, MARGIN),
	};
	for (uint32_t i = 0; i < n; i++) {
		const struct cprof_node_info *info = info_of(graph, nodes[i]);
		int64_t start = info->start_line ? info->start_line
						 : cprof_measure_subtract(info->line, MARGIN);
		int64_t end = cprof_measure_add(info->line, MARGIN);
		if (start < range.first)
			range.first = start;
		else if (end > range.last)
			range.last = end;
	}
	if (range.first < 1)
		range.first = 1;
	return range;
}

bool cprof_source_listing_next(const struct cprof_graph *graph, const uint32_t *nodes, uint32_t n,
			       int64_t *line)
{
	bool found = false;
	int64_t next = 0;
	for (uint32_t i = 0; i < n; i++) {
		const int64_t at = info_of(graph, nodes[i])->line;
		if (at <= *line || (found && at >= next))
			continue;
		next = at;
		found = true;
	}
	if (found)
		*line = next;
	return found;
}

void cprof_source_listing_line(const struct cprof_graph *graph, const uint32_t *nodes, uint32_t n,
			       int64_t line, int64_t *ret_flat, int64_t *ret_cum)
{
	*ret_flat = *ret_cum = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (info_of(graph, nodes[i])->line != line)
			continue;
		*ret_flat = cprof_measure_add(*ret_flat, graph->nodes[nodes[i]].flat);
		*ret_cum = cprof_measure_add(*ret_cum, graph->nodes[nodes[i]].cum);
	}
}
