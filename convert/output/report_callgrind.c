/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/report_callgrind.c - callgrind: the format of valgrind's tool, for KCachegrind.
 *
 * "Callgrind Format Specification" in valgrind's manual: names are given once as "(number) name" and then
 * by number, addresses relative to the previous line where that is shorter.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/graph/graph.h"

/* Numbers for the names of one kind (objects, files, functions). */
struct numbers {
	struct cprof_map64 of; /* string -> number */
};

struct writer {
	struct cprof_report *report;
	struct cprof_graph *graph;
	FILE *out;
	struct numbers objects, files, functions;
	uint32_t *variants; /* by node: which of the functions of its name it is, from 0 */
	struct cprof_map64 n_variants; /* file << 32 | name -> how many there are */
	bool tree;
};

static void put_name(struct writer *w, const char *prefix, struct numbers *numbers, uint32_t string)
{
	const char *name = cprof_profile_text(w->report->profile, string);
	if (!*name) {
		fprintf(w->out, "%s\n", prefix);
		return;
	}
	bool added;
	uint64_t *number = cprof_map64_put(&numbers->of, string, &added);
	if (!number) { /* no memory for a shorthand: the long form is as good */
		fprintf(w->out, "%s%s\n", prefix, name);
		return;
	}
	if (added)
		*number = numbers->of.len;
	fprintf(w->out, added ? "%s(%" PRIu64 ") %s\n" : "%s(%" PRIu64 ")\n", prefix, *number,
		name);
}

static void format_address(char *text, size_t room, const struct cprof_node_info *previous,
			   uint64_t address)
{
	char relative[32];
	snprintf(text, room, "0x%" PRIx64, address);
	if (!previous)
		return;
	if (previous->address == address) {
		snprintf(text, room, "*");
		return;
	}
	snprintf(relative, sizeof(relative), "%+" PRId64, (int64_t)(address - previous->address));
	if (strlen(relative) < strlen(text))
		snprintf(text, room, "%s", relative);
}

static int64_t scale(const struct writer *w, int64_t value)
{
	return cprof_measure_truncate(
		cprof_measure_scale(value, w->report->sample_unit, w->report->output_unit).value);
}

/* Callgrind takes functions of one name and file for one; those that are not get "[1/2]". */
static struct cprof_error *number_variants(struct writer *w)
{
	struct cprof_graph *g = w->graph;
	struct cprof_map64 seen = { 0 };
	w->variants = calloc((size_t)g->n_nodes + 1, sizeof(*w->variants));
	struct cprof_error *err = w->variants ? NULL : cprof_error_no_memory();
	for (uint32_t i = 0; !err && i < g->n_order; i++) {
		const struct cprof_node *node = &g->nodes[g->order[i]];
		const struct cprof_node_info *info = cprof_graph_info(g, node);
		uint64_t name = (uint64_t)info->file << 32 | info->name;
		uint64_t key = cprof_hash_mix(cprof_hash_mix(name, info->objfile),
					      (uint64_t)info->start_line);
		if (w->tree)
			key = cprof_hash_mix(key, (uint64_t)node->parent + 1);
		bool added;
		uint64_t *variant = cprof_map64_put(&seen, key, &added);
		uint64_t *count = cprof_map64_put(&w->n_variants, name, NULL);
		if (!variant || !count) {
			err = cprof_error_no_memory();
			break;
		}
		if (added)
			*variant = (*count)++;
		w->variants[g->order[i]] = (uint32_t)*variant;
	}
	cprof_map64_deinit(&seen);
	return err;
}

static struct cprof_error *callee_name(struct writer *w, uint32_t node, uint32_t *ret)
{
	const struct cprof_node_info *info = cprof_graph_info(w->graph, &w->graph->nodes[node]);
	uint64_t name = (uint64_t)info->file << 32 | info->name;
	const uint64_t *count = cprof_map64_get(&w->n_variants, name);
	*ret = info->name;
	if (!count || *count < 2)
		return NULL;
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_buffer_printf(&text, "%s [%u/%" PRIu64 "]",
			    cprof_profile_text(w->report->profile, info->name),
			    w->variants[node] + 1, *count);
	return cprof_profile_string(w->report->profile, cprof_buffer_text(&text), ret);
}

static struct cprof_error *put_calls(struct writer *w, uint32_t node,
				     const struct cprof_node_info *previous)
{
	CPROF_AUTO(free) uint32_t *edges = NULL;
	uint32_t n;
	struct cprof_error *err = cprof_graph_edges(w->graph, node, false, &edges, &n);
	for (uint32_t i = 0; !err && i < n; i++) {
		const struct cprof_edge *edge = &w->graph->edges[edges[i]];
		const struct cprof_node_info *callee =
			cprof_graph_info(w->graph, &w->graph->nodes[edge->dest]);
		char address[32];
		uint32_t name;
		err = callee_name(w, edge->dest, &name);
		if (err)
			break;
		put_name(w, "cfl=", &w->files, callee->file);
		put_name(w, "cfn=", &w->functions, name);
		format_address(address, sizeof(address), previous, callee->address);
		/* How often it was called nobody knows, so 0. */
		fprintf(w->out, "calls=0 %s %" PRId64 "\n* * %" PRId64 "\n", address, callee->line,
			scale(w, edge->weight));
	}
	return err;
}

static struct cprof_error *put_nodes(struct writer *w)
{
	const struct cprof_node_info *previous = NULL;
	for (uint32_t i = 0; i < w->graph->n_order; i++) {
		uint32_t index = w->graph->order[i];
		const struct cprof_node *node = &w->graph->nodes[index];
		const struct cprof_node_info *info = cprof_graph_info(w->graph, node);
		if (!previous || info->objfile != previous->objfile ||
		    info->file != previous->file || info->name != previous->name) {
			fputc('\n', w->out);
			put_name(w, "ob=", &w->objects, info->objfile);
			put_name(w, "fl=", &w->files, info->file);
			put_name(w, "fn=", &w->functions, info->name);
		}
		char address[32];
		format_address(address, sizeof(address), previous, info->address);
		fprintf(w->out, "%s %" PRId64 " %" PRId64 "\n", address, info->line,
			scale(w, cprof_node_flat(node)));
		struct cprof_error *err = put_calls(w, index, previous);
		if (err)
			return err;
		previous = info;
	}
	return NULL;
}

/* A blank would begin the name of another event, for which no line has a number. */
static void put_header(const struct cprof_report *report, FILE *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer event = { 0 };
	cprof_report_type_label(report, &event);
	cprof_buffer_printf(&event, "(%s)", report->output_unit);
	fputs("positions: instr line\nevents: ", out);
	for (const char *at = cprof_buffer_text(&event); *at; at++)
		fputc(*at == ' ' ? '_' : *at, out);
	fputc('\n', out);
}

static struct cprof_error *write_callgrind(struct cprof_report *report, FILE *out)
{
	CPROF_AUTO(graph) struct cprof_graph *graph = NULL;
	struct cprof_error *err = cprof_graph_trimmed(report, CPROF_GRAPH_EDGES, &graph);
	if (err)
		return err;
	struct writer w = {
		.report = report, .graph = graph, .out = out, .tree = report->config.call_tree
	};
	put_header(report, out);
	err = number_variants(&w);
	if (!err)
		err = put_nodes(&w);
	free(w.variants);
	cprof_map64_deinit(&w.n_variants);
	cprof_map64_deinit(&w.objects.of);
	cprof_map64_deinit(&w.files.of);
	cprof_map64_deinit(&w.functions.of);
	return err;
}

#define CALLGRIND_FLAGS                                                                            \
	(CPROF_FORMAT_NO_TRIM | CPROF_FORMAT_ADDRESSES | CPROF_FORMAT_OBJECTS |                    \
	 CPROF_FORMAT_TREE | CPROF_FORMAT_BINARY | CPROF_FORMAT_INTEGERS)

const struct cprof_format cprof_format_callgrind = {
	.name = "callgrind",
	.help = "a graph in callgrind's format",
	.suffix = "callgrind",
	.flags = CALLGRIND_FLAGS,
	.write = write_callgrind,
};

const struct cprof_format cprof_format_kcachegrind = {
	.name = "kcachegrind",
	.help = "the same, shown in KCachegrind",
	.suffix = "callgrind",
	.flags = CALLGRIND_FLAGS,
	.viewer = "kcachegrind",
	.write = write_callgrind,
};
