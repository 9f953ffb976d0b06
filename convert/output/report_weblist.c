/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/report_weblist.c - weblist: annotated source as a page; behind each line its addresses, their
 * instructions and the functions that were inlined there.
 *
 * The page needs no script and no network. Where the program or binutils are missing, instructions are left out
 * and the page says so.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "convert/graph/graph.h"
#include "convert/output/object_file.h"
#include "convert/output/source_file.h"
#include "convert/output/source_listing.h"

/* The code of one sampled function of one program. */
struct code {
	uint32_t objfile; /* string */
	uint64_t start, end;
	struct cprof_instruction *instructions;
	size_t n;
};

struct page {
	struct cprof_report *report;
	struct cprof_graph *graph;
	struct cprof_source_files *files;
	FILE *out;
	struct cprof_map64 locations;       /* hash of address and mapping file -> location + 1 */
	struct cprof_object_file **objects; /* by mapping; NULL where it could not be opened */
	struct code *code;
	uint32_t n_code, code_room;
	char *missing; /* why there are no instructions for some, or NULL */
};

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>annotated source</title>\n<style>\n"
	"body{font:13px/1.45 system-ui,sans-serif;margin:1em;color:#1c1c1c;background:#fff}\n"
	"pre,summary{font:12px/1.5 ui-monospace,monospace;white-space:pre;margin:0}\n"
	"h2{font-size:14px;margin:1.6em 0 .4em}.dim{color:#888}.hot{background:#fde7e0}\n"
	"details>summary{cursor:pointer;list-style:none}details>summary::-webkit-details-marker{display:none}\n"
	"details[open]>summary{background:#eef}.asm{color:#246;background:#f6f8fa}.inl{color:#7a3}\n"
	"@media(prefers-color-scheme:dark){body{background:#17181a;color:#e8e8e6}.hot{background:#4a2a22}"
	"details[open]>summary{background:#223}.asm{color:#9cf;background:#1f2023}}\n"
	"</style></head><body>\n";

static void put_html(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '<')
			fputs("&lt;", out);
		else if (*text == '&')
			fputs("&amp;", out);
		else if (*text == '"')
			fputs("&quot;", out);
		else
			fputc(*text, out);
	}
}

static const char *value_or_dot(const struct cprof_report *report, int64_t value, char *text)
{
	return value ? cprof_report_format_wide(report, value, 10, text) : ".";
}

static uint64_t hash_place(uint64_t address, uint32_t objfile)
{
	return cprof_hash_mix(address, objfile);
}

static struct cprof_error *index_locations(struct page *page)
{
	const struct cprof_profile *p = page->report->profile;
	for (uint32_t i = 0; i < p->n_locations; i++) {
		const struct cprof_location *location = &p->locations[i];
		uint32_t file = location->mapping ? p->mappings[location->mapping - 1].filename : 0;
		uint64_t *place = cprof_map64_put(&page->locations,
						  hash_place(location->address, file), NULL);
		if (!place)
			return cprof_error_no_memory();
		*place = (uint64_t)i + 1;
	}
	return NULL;
}

static const struct cprof_location *find_location(const struct page *page,
						  const struct cprof_node_info *info)
{
	const uint64_t *place =
		cprof_map64_get(&page->locations, hash_place(info->address, info->objfile));
	return place ? &page->report->profile->locations[*place - 1] : NULL;
}

/* The program that a location lies in, opened when first asked for. */
static struct cprof_object_file *find_object(struct page *page, uint32_t mapping)
{
	struct cprof_object_file **object = &page->objects[mapping];
	if (*object || page->missing)
		return *object;
	struct cprof_error *err = cprof_object_file_open(page->report->profile,
							 &page->report->profile->mappings[mapping],
							 page->report->config.tools, object);
	if (err) {
		page->missing = strdup(err->message);
		cprof_error_free(err);
	}
	return *object;
}

/* The function around an address, disassembled; NULL where that cannot be had. */
static const struct code *find_code(struct page *page, uint32_t mapping, uint64_t file_addr)
{
	uint32_t objfile = page->report->profile->mappings[mapping].filename;
	for (uint32_t i = 0; i < page->n_code; i++) {
		const struct code *code = &page->code[i];
		if (code->objfile == objfile && file_addr >= code->start && file_addr < code->end)
			return code;
	}
	struct cprof_object_symbol *symbols = NULL;
	size_t n = 0;
	struct code code = { .objfile = objfile, .start = file_addr, .end = file_addr + 1 };
	struct cprof_object_file *object = page->objects[mapping];
	struct cprof_error *err = cprof_object_file_symbols(object, NULL, file_addr, &symbols, &n);
	if (!err && n) {
		code.start = symbols[0].start;
		code.end = symbols[0].end;
		const struct cprof_object_range range = { code.start, code.end };
		err = cprof_object_file_disassemble(object, &range, 1,
						    page->report->config.intel_syntax,
						    &code.instructions, &code.n);
	}
	cprof_object_symbols_free(symbols, n);
	if (!err)
		err = cprof_profile_grow(&page->code, page->n_code, &page->code_room, 1,
					 sizeof(*page->code));
	if (err) {
		if (!page->missing)
			page->missing = strdup(err->message);
		cprof_error_free(err);
		cprof_instructions_free(code.instructions, code.n);
		return NULL;
	}
	page->code[page->n_code] = code;
	return &page->code[page->n_code++];
}

/* The instruction around a location; NULL where it cannot be had. *ret_into: how many bytes into it the location lies. */
static const struct cprof_instruction *
find_instruction(struct page *page, const struct cprof_location *location, uint64_t *ret_into)
{
	uint64_t file_addr;
	if (!location->mapping)
		return NULL;
	struct cprof_object_file *object = find_object(page, location->mapping - 1);
	if (!object || !cprof_object_file_address(object, location->address, &file_addr))
		return NULL;
	const struct code *code = find_code(page, location->mapping - 1, file_addr);
	const struct cprof_instruction *found = NULL;
	for (size_t i = 0; code && i < code->n && code->instructions[i].file_addr <= file_addr; i++)
		found = &code->instructions[i];
	*ret_into = found ? file_addr - found->file_addr : 0;
	return found;
}

/* The functions inlined at this place of `function`, outermost first. */
static void put_inlined(struct page *page, const struct cprof_location *location, uint32_t function)
{
	const struct cprof_profile *p = page->report->profile;
	uint32_t own = location->n_lines;
	while (own > 0 &&
	       p->functions[p->lines[location->first_line + own - 1].function].name != function)
		own--;
	for (uint32_t i = own; i-- > 1;) {
		const struct cprof_line *line = &p->lines[location->first_line + i - 1];
		const struct cprof_function *f = &p->functions[line->function];
		fputs(" <span class=\"inl\">&rarr; ", page->out);
		put_html(page->out, cprof_profile_text(p, f->name));
		fputs(" (inline, ", page->out);
		put_html(page->out, cprof_path_base(cprof_profile_text(p, f->filename)));
		fprintf(page->out, ":%" PRId64 ")</span>", line->line);
	}
}

/* A sampled address of a line, and the instruction that it lies in. */
struct row {
	uint32_t node;
	uint64_t
		address; /* of the instruction's first byte, or the sampled one where none is known */
	const struct cprof_instruction *instruction; /* borrowed from page->code, or NULL */
	const struct cprof_location *location;       /* NULL where the profile has none */
};

static struct row make_row(struct page *page, uint32_t node)
{
	const struct cprof_node_info *info =
		cprof_graph_info(page->graph, &page->graph->nodes[node]);
	struct row row = { .node = node,
			   .address = info->address,
			   .location = find_location(page, info) };
	uint64_t into = 0;
	if (row.location)
		row.instruction = find_instruction(page, row.location, &into);
	row.address -= into;
	return row;
}

static int compare_rows(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	uint64_t place_x = x->instruction ? x->instruction->file_addr : x->address;
	uint64_t place_y = y->instruction ? y->instruction->file_addr : y->address;
	if (place_x != place_y)
		return place_x < place_y ? -1 : 1;
	return (x->node > y->node) - (x->node < y->node);
}

/* Whether two rows are one to the reader: a callee's caller is recorded as the last byte of the call, a sample as its first. */
static bool same_row(const struct row *a, const struct row *b)
{
	return a->instruction && a->instruction == b->instruction;
}

/* One instruction, with the weight of all `n` rows of it. */
static void put_instruction(struct page *page, const struct row *rows, size_t n,
			    const uint32_t *nodes)
{
	char flat_text[CPROF_MEASURE_LABEL_MAX], cum_text[CPROF_MEASURE_LABEL_MAX];
	int64_t flat, cum;
	cprof_graph_sum(page->graph, nodes, (uint32_t)n, &flat, &cum);
	fprintf(page->out, "%10s %10s %16" PRIx64 ": ", value_or_dot(page->report, flat, flat_text),
		value_or_dot(page->report, cum, cum_text), rows->address);
	if (rows->instruction)
		put_html(page->out, rows->instruction->text);
	if (rows->location)
		put_inlined(page, rows->location,
			    cprof_graph_info(page->graph, &page->graph->nodes[rows->node])->name);
	fputc('\n', page->out);
}

/* The instructions of a line, in the order in which they stand in the program. */
static struct cprof_error *put_instructions(struct page *page, const uint32_t *nodes, uint32_t n,
					    int64_t line)
{
	CPROF_AUTO(free) struct row *rows = calloc((size_t)n + 1, sizeof(*rows));
	CPROF_AUTO(free) uint32_t *of_row = calloc((size_t)n + 1, sizeof(*of_row));
	if (!rows || !of_row)
		return cprof_error_no_memory();
	size_t n_rows = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (cprof_graph_info(page->graph, &page->graph->nodes[nodes[i]])->line == line)
			rows[n_rows++] = make_row(page, nodes[i]);
	}
	qsort(rows, n_rows, sizeof(*rows), compare_rows);
	for (size_t i = 0; i < n_rows; i++)
		of_row[i] = rows[i].node;
	for (size_t i = 0, same; i < n_rows; i += same) {
		for (same = 1; i + same < n_rows && same_row(&rows[i], &rows[i + same]);)
			same++;
		put_instruction(page, &rows[i], same, &of_row[i]);
	}
	return NULL;
}

static struct cprof_error *put_line(struct page *page, const uint32_t *nodes, uint32_t n,
				    int64_t line, const char *text)
{
	char flat_text[CPROF_MEASURE_LABEL_MAX], cum_text[CPROF_MEASURE_LABEL_MAX];
	int64_t flat, cum;
	cprof_source_listing_line(page->graph, nodes, n, line, &flat, &cum);
	fputs(cum ? "<details><summary class=\"hot\">" : "<pre class=\"dim\">", page->out);
	fprintf(page->out, "%10s %10s %6" PRId64 " ", value_or_dot(page->report, flat, flat_text),
		value_or_dot(page->report, cum, cum_text), line);
	put_html(page->out, text);
	if (!cum) {
		fputs("</pre>\n", page->out);
		return NULL;
	}
	fputs("</summary><pre class=\"asm\">", page->out);
	struct cprof_error *err = put_instructions(page, nodes, n, line);
	fputs("</pre></details>\n", page->out);
	return err;
}

static struct cprof_error *put_routine(struct page *page,
				       const struct cprof_source_listing *listing,
				       const struct cprof_source_routine *routine)
{
	const struct cprof_profile *p = page->report->profile;
	const uint32_t *nodes = listing->nodes + routine->first;
	const char *file = cprof_profile_text(p, routine->file);
	char flat_text[CPROF_MEASURE_LABEL_MAX], cum_text[CPROF_MEASURE_LABEL_MAX], part[32];
	int64_t flat, cum;
	cprof_graph_sum(page->graph, nodes, routine->n, &flat, &cum);
	fputs("<h2>", page->out);
	put_html(page->out, cprof_profile_text(p, routine->name));
	fputs(" <span class=\"dim\">", page->out);
	put_html(page->out, routine->has_file ? file : "no source information");
	fprintf(page->out,
		"</span></h2>\n<p>%s flat, %s with everything called (%s of the total)</p>\n",
		cprof_report_format(page->report, flat, flat_text),
		cprof_report_format(page->report, cum, cum_text),
		cprof_measure_percentage(part, cum, page->report->total));
	if (!routine->has_file)
		return NULL;
	const char *failure = cprof_source_files_failure(page->files, file);
	struct cprof_source_range range =
		cprof_source_listing_range(page->graph, nodes, routine->n);
	if (failure) {
		fputs("<p class=\"dim\">", page->out);
		put_html(page->out, failure);
		fputs("</p>\n", page->out);
	}
	struct cprof_error *err = NULL;
	bool more = range.first <= range.last;
	for (int64_t line = range.first; !err && more;) {
		const char *text = cprof_source_files_line(page->files, file, line);
		cprof_source_listing_line(page->graph, nodes, routine->n, line, &flat, &cum);
		/* Without the source, the lines that weigh something still have their addresses. */
		if (text || cum)
			err = put_line(page, nodes, routine->n, line, text ? text : "");
		else if (!failure)
			break;
		if (failure) /* the profile says where lines are, and they may be far from each other */
			more = cprof_source_listing_next(page->graph, nodes, routine->n, &line);
		else if ((more = line < range.last))
			line++;
	}
	return err;
}

static struct cprof_error *put_page(struct page *page, const struct cprof_source_listing *listing)
{
	CPROF_AUTO(buffer) struct cprof_buffer labels = { 0 };
	cprof_report_profile_labels(page->report, &labels);
	fputs(head, page->out);
	fputs("<pre class=\"dim\">", page->out);
	put_html(page->out, cprof_buffer_text(&labels));
	fputs("</pre>\n", page->out);
	struct cprof_error *err = NULL;
	for (uint32_t i = 0; !err && i < listing->n_routines; i++)
		err = put_routine(page, listing, &listing->routines[i]);
	if (page->missing) {
		fputs("<p class=\"dim\">Some instructions are not shown: ", page->out);
		put_html(page->out, page->missing);
		fputs("</p>\n", page->out);
	}
	fputs("</body></html>\n", page->out);
	return err;
}

static void page_deinit(struct page *page)
{
	for (uint32_t i = 0; page->objects && i < page->report->profile->n_mappings; i++)
		cprof_object_file_close(page->objects[i]);
	free(page->objects);
	for (uint32_t i = 0; i < page->n_code; i++)
		cprof_instructions_free(page->code[i].instructions, page->code[i].n);
	free(page->code);
	free(page->missing);
	cprof_map64_deinit(&page->locations);
}

static struct cprof_error *write_weblist(struct cprof_report *report, FILE *out)
{
	CPROF_AUTO(graph) struct cprof_graph *graph = NULL;
	CPROF_AUTO(source_files) struct cprof_source_files *files = NULL;
	CPROF_AUTO(source_listing) struct cprof_source_listing listing = { 0 };
	struct page page = { .report = report, .out = out };
	struct cprof_error *err = cprof_source_listing_open(report, &listing, &graph, &files);
	page.graph = graph;
	page.files = files;
	page.objects = calloc((size_t)report->profile->n_mappings + 1, sizeof(*page.objects));
	if (!err && !page.objects)
		err = cprof_error_no_memory();
	if (!err)
		err = index_locations(&page);
	if (!err)
		err = put_page(&page, &listing);
	page_deinit(&page);
	return err;
}

const struct cprof_format cprof_format_weblist = {
	.name = "weblist",
	.arg = "RE",
	.help = "annotated source with instructions and inlined calls, shown in a browser",
	.suffix = "html",
	.flags = CPROF_FORMAT_NO_TRIM | CPROF_FORMAT_ADDRESSES | CPROF_FORMAT_INLINES |
		 CPROF_FORMAT_OBJECTS,
	.viewer = "web",
	.write = write_weblist,
};
