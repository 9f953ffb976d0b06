/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/output/disasm_listing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "convert/graph/graph.h"
#include "convert/output/object_file.h"

#define BATCH 64u /* functions that are disassembled at once: not all of a program are held */

/* A sampled address, as the program knows it. */
struct place {
	uint64_t file_addr;
	uint32_t node;
};

/* A function that has samples: places[first, end). */
struct routine {
	const struct cprof_object_symbol *symbol; /* borrowed */
	size_t first, end;
	int64_t flat, cum;
};

struct listing {
	struct cprof_report *report;
	struct cprof_graph *graph;
	struct cprof_object_file *file; /* the one being listed */
	struct place *places;           /* of this file, by address */
	size_t n_places;
	uint32_t n_routines;
	const struct cprof_disasm_sink *sink;
};

static int compare_places(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	if (x->file_addr != y->file_addr)
		return x->file_addr < y->file_addr ? -1 : 1;
	return (x->node > y->node) - (x->node < y->node);
}

static struct cprof_error *find_places(struct listing *l, const struct cprof_mapping *mapping)
{
	free(l->places);
	l->n_places = 0;
	l->places = calloc((size_t)l->graph->n_order + 1, sizeof(*l->places));
	if (!l->places)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < l->graph->n_order; i++) {
		uint32_t node = l->graph->order[i];
		const struct cprof_node_info *info =
			cprof_graph_info(l->graph, &l->graph->nodes[node]);
		uint64_t file_addr;
		if (info->objfile == mapping->filename &&
		    cprof_object_file_address(l->file, info->address, &file_addr))
			l->places[l->n_places++] = (struct place){ file_addr, node };
	}
	if (l->n_places)
		qsort(l->places, l->n_places, sizeof(*l->places), compare_places);
	return NULL;
}

/* Samples up to the next instruction belong to this one; *at moves behind them. */
static void put_instruction(struct listing *l, const struct cprof_instruction *in, uint64_t next,
			    size_t *at)
{
	const struct cprof_profile *p = l->report->profile;
	int64_t flat_div = 0, cum_div = 0;
	struct cprof_disasm_line line = { .file_addr = in->file_addr,
					  .text = in->text,
					  .line = in->line,
					  .function = in->function,
					  .file = *in->file ? cprof_path_base(in->file) : "" };
	for (; *at < l->n_places && l->places[*at].file_addr < next; ++*at) {
		const struct cprof_node *node = &l->graph->nodes[l->places[*at].node];
		const struct cprof_node_info *info = cprof_graph_info(l->graph, node);
		line.flat = cprof_measure_add(line.flat, node->flat);
		flat_div = cprof_measure_add(flat_div, node->flat_div);
		line.cum = cprof_measure_add(line.cum, node->cum);
		cum_div = cprof_measure_add(cum_div, node->cum_div);
		if (info->file && !*line.file)
			line.file = cprof_path_base(cprof_profile_text(p, info->file));
		if (info->line && !line.line)
			line.line = info->line;
		if (info->name && !*line.function)
			line.function = cprof_profile_text(p, info->name);
	}
	line.flat = cprof_measure_divide(line.flat, flat_div);
	line.cum = cprof_measure_divide(line.cum, cum_div);
	l->sink->line(l->sink->ctx, &line);
}

/* The first place at this address or behind it. */
static size_t place_at(const struct listing *l, uint64_t file_addr)
{
	size_t low = 0, high = l->n_places;
	while (low < high) {
		const size_t middle = low + (high - low) / 2;
		if (l->places[middle].file_addr < file_addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct routine find_routine(const struct listing *l,
				   const struct cprof_object_symbol *symbol)
{
	struct routine routine = { .symbol = symbol,
				   .first = place_at(l, symbol->start),
				   .end = place_at(l, symbol->end) };
	for (size_t i = routine.first; i < routine.end; i++) {
		const struct cprof_node *node = &l->graph->nodes[l->places[i].node];
		routine.flat = cprof_measure_add(routine.flat, node->flat);
		routine.cum = cprof_measure_add(routine.cum, node->cum);
	}
	return routine;
}

static void put_routine(struct listing *l, const struct routine *routine,
			const struct cprof_instruction *code, size_t n)
{
	const struct cprof_object_symbol *symbol = routine->symbol;
	l->sink->routine(l->sink->ctx, symbol->name, routine->flat, routine->cum);
	l->n_routines++;
	while (n && code->file_addr < symbol->start)
		code++, n--;
	while (n && code[n - 1].file_addr >= symbol->end)
		n--;
	size_t all = l->n_places, first = routine->first;
	l->n_places = routine->end; /* what lies behind it is not its last instruction's */
	for (size_t i = 0; i < n; i++)
		put_instruction(l, &code[i], i + 1 < n ? code[i + 1].file_addr : UINT64_MAX,
				&first);
	l->n_places = all;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct cprof_object_range *x = a, *y = b;
	return (x->start > y->start) - (x->start < y->start);
}

static struct cprof_error *put_batch(struct listing *l, const struct routine *batch, size_t n)
{
	struct cprof_object_range ranges[BATCH];
	struct cprof_instruction *code = NULL;
	size_t n_code = 0, shown = n;
	if (l->sink->most && l->n_routines + n > l->sink->most)
		shown = l->n_routines < l->sink->most ? l->sink->most - l->n_routines : 0;
	for (size_t i = 0; i < shown; i++)
		ranges[i] =
			(struct cprof_object_range){ batch[i].symbol->start, batch[i].symbol->end };
	if (shown)
		qsort(ranges, shown, sizeof(*ranges), compare_ranges);
	struct cprof_error *err = cprof_object_file_disassemble(
		l->file, ranges, shown, l->report->config.intel_syntax, &code, &n_code);
	for (size_t i = 0; !err && i < n; i++)
		put_routine(l, &batch[i], code, i < shown ? n_code : 0);
	cprof_instructions_free(code, n_code);
	return err;
}

static struct cprof_error *put_symbols(struct listing *l, const struct cprof_object_symbol *symbols,
				       size_t n)
{
	struct routine batch[BATCH];
	struct cprof_error *err = NULL;
	size_t n_batch = 0;
	for (size_t i = 0; !err && i < n; i++) {
		batch[n_batch] = find_routine(l, &symbols[i]);
		n_batch += batch[n_batch].first < batch[n_batch].end;
		if (n_batch < BATCH && i + 1 < n)
			continue;
		err = put_batch(l, batch, n_batch);
		n_batch = 0;
	}
	return err;
}

static int compare_symbols(const void *a, const void *b)
{
	const struct cprof_object_symbol *x = a, *y = b;
	int order = strcmp(x->name, y->name);
	return order ? order : (x->start > y->start) - (x->start < y->start);
}

static struct cprof_error *put_file(struct listing *l, const struct cprof_mapping *mapping,
				    uint64_t address)
{
	struct cprof_object_symbol *symbols = NULL;
	size_t n = 0;
	uint64_t file_addr = 0;
	if (address && !cprof_object_file_address(l->file, address, &file_addr))
		file_addr = 0;
	struct cprof_error *err = find_places(l, mapping);
	if (!err)
		err = cprof_object_file_symbols(l->file, l->report->symbol, file_addr, &symbols,
						&n);
	if (!err && n)
		qsort(symbols, n, sizeof(*symbols), compare_symbols);
	if (!err)
		err = put_symbols(l, symbols, n);
	cprof_object_symbols_free(symbols, n);
	return err;
}

/* Whether a sampled function of this program matches, so that it is worth opening. */
static bool is_wanted(struct listing *l, const struct cprof_mapping *mapping, uint64_t address)
{
	if (address && mapping->start <= address && address <= mapping->limit)
		return true;
	for (uint32_t i = 0; i < l->graph->n_order; i++) {
		uint32_t node = l->graph->order[i];
		const struct cprof_node_info *info =
			cprof_graph_info(l->graph, &l->graph->nodes[node]);
		if (!info->objfile || info->objfile != mapping->filename)
			continue;
		const char *name = cprof_profile_text(l->report->profile, info->name);
		if (cprof_regex_match(l->report->symbol, name) ||
		    cprof_regex_match(l->report->symbol, cprof_graph_name(l->graph, node)))
			return true;
	}
	return false;
}

static struct cprof_error *put_files(struct listing *l)
{
	const struct cprof_profile *p = l->report->profile;
	char *end;
	errno = 0;
	uint64_t address = strtoull(l->report->symbol_text, &end, 0);
	address = *end || errno || !*l->report->symbol_text ? 0 : address;
	struct cprof_error *first =
		NULL; /* why a program could not be listed, unless another one was */
	for (uint32_t i = 0; i < p->n_mappings; i++) {
		const struct cprof_mapping *mapping = &p->mappings[i];
		if (!is_wanted(l, mapping, address))
			continue;
		struct cprof_error *err =
			cprof_object_file_open(p, mapping, l->report->config.tools, &l->file);
		if (!err)
			err = put_file(l, mapping, address);
		cprof_object_file_close(l->file);
		l->file = NULL;
		if (!first)
			first = err;
		else
			cprof_error_free(err);
	}
	if (l->n_routines) {
		cprof_error_free(first);
		return NULL;
	}
	return first ? first
		     : cprof_error_new(CPROF_ERR_BAD_DATA, "no matches found for regexp: %s",
				       l->report->symbol_text);
}

struct cprof_error *cprof_disasm_listing_walk(struct cprof_report *report,
					      const struct cprof_disasm_sink *sink)
{
	CPROF_AUTO(graph) struct cprof_graph *graph = NULL;
	struct cprof_error *err = cprof_graph_new(report, 0, &graph);
	if (err)
		return err;
	struct listing listing = { .report = report, .graph = graph, .sink = sink };
	err = put_files(&listing);
	free(listing.places);
	return err;
}
