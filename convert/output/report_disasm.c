/*
 * convert/output/report_disasm.c - disasm: the instructions of matching functions, each with what it weighs.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "convert/graph/graph.h"
#include "convert/output/object_file.h"

/* A sampled address, as the program knows it. */
struct place {
	uint64_t file_addr;
	uint32_t node;
};

struct listing {
	struct cprof_report *report;
	struct cprof_graph *graph;
	struct cprof_object_file *file; /* the one being listed */
	struct place *places;           /* of this file, by address */
	size_t n_places;
	uint32_t n_routines;
	FILE *out;
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

static const char *value_or_dot(const struct cprof_report *report, int64_t value, char *text)
{
	return value ? cprof_report_format(report, value, text) : ".";
}

/* What an instruction is annotated with: its own place in the source, or the samples'. */
struct annotation {
	int64_t flat, flat_div, cum, cum_div, line;
	const char *function, *file;
};

/* Samples up to the next instruction belong to this one; *at moves behind them. */
static struct annotation annotate(struct listing *l, const struct cprof_instruction *in,
				  uint64_t next, size_t *at)
{
	const struct cprof_profile *p = l->report->profile;
	struct annotation a = { .line = in->line,
				.function = in->function,
				.file = *in->file ? cprof_path_base(in->file) : "" };
	for (; *at < l->n_places && l->places[*at].file_addr < next; ++*at) {
		const struct cprof_node *node = &l->graph->nodes[l->places[*at].node];
		const struct cprof_node_info *info = cprof_graph_info(l->graph, node);
		a.flat = cprof_measure_add(a.flat, node->flat);
		a.flat_div = cprof_measure_add(a.flat_div, node->flat_div);
		a.cum = cprof_measure_add(a.cum, node->cum);
		a.cum_div = cprof_measure_add(a.cum_div, node->cum_div);
		if (info->file && !*a.file)
			a.file = cprof_path_base(cprof_profile_text(p, info->file));
		if (info->line && !a.line)
			a.line = info->line;
		if (info->name && !*a.function)
			a.function = cprof_profile_text(p, info->name);
	}
	a.flat = a.flat_div ? a.flat / a.flat_div : a.flat;
	a.cum = a.cum_div ? a.cum / a.cum_div : a.cum;
	return a;
}

/* "function file:line" where it is not that of the instruction before. */
static void compose_place(const struct annotation *a, const struct annotation *previous,
			  struct cprof_buffer *out)
{
	if (strcmp(a->function, previous->function) == 0 && strcmp(a->file, previous->file) == 0 &&
	    a->line == previous->line)
		return;
	if (*a->function)
		cprof_buffer_printf(out, "%s ", a->function);
	if (*a->file)
		cprof_buffer_puts(out, a->file);
	if (*a->file && a->line)
		cprof_buffer_printf(out, ":%" PRId64, a->line);
}

static void put_instruction(struct listing *l, const struct cprof_instruction *in,
			    const struct annotation *a, const char *place)
{
	char flat[CPROF_MEASURE_LABEL_MAX], cum[CPROF_MEASURE_LABEL_MAX];
	bool wide = strlen(in->text) >= 40;
	if (*place && wide)
		fprintf(l->out, "%74s;%s\n", "", place);
	fprintf(l->out, "%10s %10s %10" PRIx64 ": ", value_or_dot(l->report, a->flat, flat),
		value_or_dot(l->report, a->cum, cum), in->file_addr);
	if (*place && !wide)
		fprintf(l->out, "%-40s;%s\n", in->text, place);
	else
		fprintf(l->out, "%s\n", in->text);
}

static void put_code(struct listing *l, const struct cprof_instruction *code, size_t n, size_t at)
{
	struct annotation previous = { .function = "", .file = "" };
	for (size_t i = 0; i < n; i++) {
		uint64_t next = i + 1 < n ? code[i + 1].file_addr : UINT64_MAX;
		struct annotation a = annotate(l, &code[i], next, &at);
		CPROF_AUTO(buffer) struct cprof_buffer place = { 0 };
		compose_place(&a, &previous, &place);
		put_instruction(l, &code[i], &a, cprof_buffer_text(&place));
		previous = a;
	}
}

static struct cprof_error *put_routine(struct listing *l, const struct cprof_object_symbol *symbol)
{
	size_t first = 0;
	int64_t flat = 0, cum = 0;
	while (first < l->n_places && l->places[first].file_addr < symbol->start)
		first++;
	size_t end = first;
	for (; end < l->n_places && l->places[end].file_addr < symbol->end; end++) {
		flat = cprof_measure_add(flat, l->graph->nodes[l->places[end].node].flat);
		cum = cprof_measure_add(cum, l->graph->nodes[l->places[end].node].cum);
	}
	if (end == first)
		return NULL;
	struct cprof_instruction *code;
	size_t n;
	struct cprof_error *err = cprof_object_file_disassemble(
		l->file, symbol->start, symbol->end, l->report->config.intel_syntax, &code, &n);
	if (err)
		return err;
	char flat_text[CPROF_MEASURE_LABEL_MAX], cum_text[CPROF_MEASURE_LABEL_MAX], part[32];
	if (l->n_routines == 0) /* nothing is printed where nothing matches */
		fprintf(l->out, "Total: %s\n",
			cprof_report_format(l->report, l->report->total, flat_text));
	fprintf(l->out, "ROUTINE ======================== %s\n", symbol->name);
	fprintf(l->out, "%10s %10s (flat, cum) %s of Total\n",
		cprof_report_format(l->report, flat, flat_text),
		cprof_report_format(l->report, cum, cum_text),
		cprof_measure_percentage(part, cum, l->report->total));
	l->n_routines++;
	size_t all = l->n_places;
	l->n_places = end; /* what lies behind the function is not its last instruction's */
	put_code(l, code, n, first);
	l->n_places = all;
	cprof_instructions_free(code, n);
	return NULL;
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
	for (size_t i = 0; !err && i < n; i++)
		err = put_routine(l, &symbols[i]);
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

static struct cprof_error *write_disasm(struct cprof_report *report, FILE *out)
{
	CPROF_AUTO(graph) struct cprof_graph *graph = NULL;
	struct cprof_error *err = cprof_graph_new(report, 0, &graph);
	if (err)
		return err;
	struct listing listing = { .report = report, .graph = graph, .out = out };
	err = put_files(&listing);
	free(listing.places);
	return err;
}

const struct cprof_format cprof_format_disasm = {
	.name = "disasm",
	.arg = "RE",
	.help = "the instructions of functions that match (or of the one around an address), with the weight of each",
	.suffix = "txt",
	.flags = CPROF_FORMAT_NO_TRIM | CPROF_FORMAT_ADDRESSES | CPROF_FORMAT_NO_INLINES |
		 CPROF_FORMAT_OBJECTS,
	.write = write_disasm,
};
