/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "convert/output/flame_data.h"
#include "convert/output/flame_data_impl.h"
#include "convert/output/json.h"
#include "convert/output/shorten.h"
#include "convert/profile/guessed.h"

#define LISTED_BYTES 150000u /* functions that no tree shows */
#define FILES_BYTES  30000u  /* of modules; of source files */
#define NAME_BYTES   1000u   /* of one name; the middle of longer ones is left out */

/* ---- what is known of them ---- */

uint32_t cprof_flame_text_cost(const char *text)
{
	size_t n = 0;
	for (; *text && n < NAME_BYTES * 6u; text++) {
		unsigned char c = (unsigned char)*text;
		n += c < 0x20 || c == '<' || c >= 0x7f || c == '"' || c == '\\' ? 6 : 1;
	}
	return (uint32_t)n;
}

/* The first place that is found: of functions that share a name, any. */
static void place_infos(struct cprof_flame *f, uint32_t location)
{
	const struct cprof_location *l = &f->report->profile->locations[location];
	for (uint32_t i = 0; i < l->n_lines; i++) {
		const uint32_t info = f->infos.slots[f->infos.slot_of[location] + i];
		const struct cprof_line *line = &f->report->profile->lines[l->first_line + i];
		if (!f->infos.all[info].file && !f->place_of[info].file)
			f->place_of[info] = f->report->places[line->function];
	}
}

static void weigh_infos(struct cprof_flame *f)
{
	const struct cprof_profile *p = f->report->profile;
	for (uint32_t i = 0; i < f->infos.n; i++) {
		const struct cprof_node_info *info = &f->infos.all[i];
		f->cost[i] = 60 + 20 * f->columns.n +
			     cprof_flame_text_cost(cprof_profile_text(p, info->name)) +
			     cprof_flame_text_cost(cprof_profile_text(p, info->file));
	}
	for (uint32_t i = 0; i < p->n_locations; i++) {
		place_infos(f, i);
		uint32_t mapping = p->locations[i].mapping;
		for (uint32_t slot = f->infos.slot_of[i]; slot < f->infos.slot_of[i + 1]; slot++) {
			uint32_t info = f->infos.slots[slot];
			if (mapping && !f->module_of[info])
				f->module_of[info] = p->mappings[mapping - 1].filename;
			if (slot + 1 == f->infos.slot_of[i + 1])
				f->not_inlined[info] = true;
		}
	}
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names are compared as the file has them. */
static struct cprof_error *mark_guessed(struct cprof_flame *f)
{
	const struct cprof_profile *p = f->report->profile;
	CPROF_AUTO(free) const char **guessed = calloc((size_t)p->n_comments + 1, sizeof(*guessed));
	if (!guessed)
		return cprof_error_no_memory();
	uint32_t n = 0;
	for (uint32_t i = 0; i < p->n_comments; i++) {
		const char *name = cprof_guessed_function(cprof_profile_text(p, p->comments[i]));
		if (name)
			guessed[n++] = name;
	}
	qsort(guessed, n, sizeof(*guessed), compare_texts);
	for (uint32_t i = 0; n && i < f->infos.n; i++) {
		const char *name = cprof_profile_text(p, f->infos.all[i].name);
		f->guessed[i] = bsearch(&name, guessed, n, sizeof(*guessed), compare_texts);
	}
	return NULL;
}

struct cprof_error *cprof_flame_functions_init(struct cprof_flame *f)
{
	struct cprof_error *err = cprof_node_infos_init(&f->infos, f->report);
	if (!err)
		err = cprof_stack_columns_init(&f->columns, f->report);
	if (!err)
		err = cprof_root_stacks_init(&f->stacks, &f->infos);
	if (!err)
		err = cprof_info_sums_init(&f->sums, &f->columns, &f->stacks, f->infos.n);
	if (err)
		return err;
	size_t n = (size_t)f->infos.n + 1;
	f->cost = calloc(n, sizeof(*f->cost));
	f->module_of = calloc(n, sizeof(*f->module_of));
	f->place_of = calloc(n, sizeof(*f->place_of));
	f->not_inlined = calloc(n, sizeof(*f->not_inlined));
	f->guessed = calloc(n, sizeof(*f->guessed));
	f->number = calloc(n, sizeof(*f->number));
	f->listed = calloc(n, sizeof(*f->listed));
	if (!f->cost || !f->module_of || !f->place_of || !f->not_inlined || !f->guessed ||
	    !f->number || !f->listed)
		return cprof_error_no_memory();
	weigh_infos(f);
	return mark_guessed(f);
}

void cprof_flame_functions_deinit(struct cprof_flame *f)
{
	cprof_node_infos_deinit(&f->infos);
	cprof_root_stacks_deinit(&f->stacks);
	cprof_stack_columns_deinit(&f->columns);
	cprof_info_sums_deinit(&f->sums);
	free(f->cost);
	free(f->module_of);
	free(f->place_of);
	free(f->not_inlined);
	free(f->guessed);
	free(f->number);
	free(f->listed);
}

/* ---- which of them are told ---- */

void cprof_flame_list(struct cprof_flame *f, uint32_t info)
{
	if (f->number[info])
		return;
	f->listed[f->n_listed++] = info;
	f->number[info] = f->n_listed;
}

static int compare_cum(const void *a, const void *b, void *flame)
{
	const struct cprof_flame *f = flame;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	size_t column = f->columns.is_diff ? 2 * (size_t)f->columns.shown : f->columns.shown;
	int64_t cx = f->sums.cum[x * (size_t)f->columns.n + column];
	int64_t cy = f->sums.cum[y * (size_t)f->columns.n + column];
	if (cx != cy)
		return cx > cy ? -1 : 1;
	return (x > y) - (x < y);
}

/* Functions that no tree shows, the heaviest first, as long as there is room. */
struct cprof_error *cprof_flame_list_others(struct cprof_flame *f)
{
	CPROF_AUTO(free) uint32_t *order = calloc((size_t)f->infos.n + 1, sizeof(*order));
	if (!order)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < f->infos.n; i++)
		order[i] = i;
	if (f->infos.n)
		qsort_r(order, f->infos.n, sizeof(*order), compare_cum, f);
	uint64_t used = 0;
	for (uint32_t i = 0; i < f->infos.n; i++) {
		if (f->number[order[i]])
			continue;
		used += f->cost[order[i]];
		if (used > LISTED_BYTES)
			break;
		cprof_flame_list(f, order[i]);
	}
	f->used += used < LISTED_BYTES ? used : LISTED_BYTES;
	return NULL;
}

/* ---- told ---- */

void cprof_flame_put_name(FILE *out, const char *text)
{
	CPROF_AUTO(buffer) struct cprof_buffer cut = { 0 };
	cprof_shorten_middle(text, NAME_BYTES, &cut);
	cprof_json_put_string(out, cprof_buffer_text(&cut));
}

static uint32_t module_of(const struct cprof_flame *f, uint32_t info)
{
	return f->module_of[info];
}

static const char *module_name(const struct cprof_flame *f, uint32_t string)
{
	return cprof_path_base(cprof_profile_text(f->report->profile, string));
}

static uint32_t file_of(const struct cprof_flame *f, uint32_t info)
{
	return f->place_of[info].file;
}

static const char *file_name(const struct cprof_flame *f, uint32_t string)
{
	const struct cprof_config *config = &f->report->config;
	return cprof_path_trim(cprof_profile_text(f->report->profile, string), config->trim_path,
			       config->source_path);
}

/* What listed functions are in, and what it is called. */
struct table {
	const char *name, *column;
	uint32_t (*of)(const struct cprof_flame *f, uint32_t info); /* string; 0: unknown */
	const char *(*text)(const struct cprof_flame *f, uint32_t string);
	uint32_t *number; /* owned: by string, from 1; 0: it is not in the table */
};

static struct cprof_error *put_table(struct cprof_flame *f, struct table *table)
{
	uint32_t n = 0;
	uint64_t used = 0;
	table->number = calloc(f->report->profile->strings.len + 1u, sizeof(*table->number));
	if (!table->number)
		return cprof_error_no_memory();
	fprintf(f->out, ",\n\"%s\":[", table->name);
	for (uint32_t i = 0; i < f->n_listed; i++) {
		const uint32_t string = table->of(f, f->listed[i]);
		if (!string || table->number[string])
			continue;
		const char *text = table->text(f, string);
		if (used + cprof_flame_text_cost(text) + 3 > FILES_BYTES)
			continue;
		used += cprof_flame_text_cost(text) + 3;
		fputs(n ? "," : "", f->out);
		cprof_flame_put_name(f->out, text);
		table->number[string] = ++n;
	}
	fputc(']', f->out);
	f->used += used;
	return NULL;
}

static void put_column(const struct cprof_flame *f, const struct table *table)
{
	fprintf(f->out, "],\n\"%s\":[", table->column);
	for (uint32_t i = 0; i < f->n_listed; i++)
		fprintf(f->out, "%s%d", i ? "," : "",
			(int)table->number[table->of(f, f->listed[i])] - 1);
}

static void put_sums(const struct cprof_flame *f, const char *name, const int64_t *sums)
{
	fprintf(f->out, ",\n\"%s\":[", name);
	for (uint32_t c = 0; c < f->columns.n; c++) {
		fputs(c ? ",[" : "[", f->out);
		for (uint32_t i = 0; i < f->n_listed; i++)
			fprintf(f->out, "%s%" PRId64, i ? "," : "",
				sums[(size_t)f->listed[i] * f->columns.n + c]);
		fputc(']', f->out);
	}
	fputc(']', f->out);
}

/* There are few or none, so only those. */
static void put_guessed(const struct cprof_flame *f)
{
	const char *before = "";
	for (uint32_t i = 0; i < f->n_listed; i++) {
		if (!f->guessed[f->listed[i]])
			continue;
		fprintf(f->out, "%s%" PRIu32, before, i);
		before = ",";
	}
}

static void put_functions(struct cprof_flame *f, const struct table tables[2])
{
	fputs(",\n\"functions\":{\"name\":[", f->out);
	for (uint32_t i = 0; i < f->n_listed; i++) {
		fputs(i ? "," : "", f->out);
		cprof_flame_put_name(f->out, cprof_node_infos_name(&f->infos, f->listed[i]));
	}
	put_column(f, &tables[0]);
	put_column(f, &tables[1]);
	fputs("],\n\"line\":[", f->out);
	for (uint32_t i = 0; i < f->n_listed; i++)
		fprintf(f->out, "%s%" PRId64, i ? "," : "", f->place_of[f->listed[i]].line);
	fputs("],\n\"inlined\":[", f->out);
	for (uint32_t i = 0; i < f->n_listed; i++)
		fprintf(f->out, "%s%d", i ? "," : "", !f->not_inlined[f->listed[i]]);
	fputs("],\n\"guessed\":[", f->out);
	put_guessed(f);
	fputc(']', f->out);
	put_sums(f, "flat", f->sums.flat);
	put_sums(f, "cum", f->sums.cum);
	fputc('}', f->out);
}

static int compare_names(const void *a, const void *b, void *flame)
{
	struct cprof_flame *f = flame;
	return strcmp(cprof_node_infos_name(&f->infos, *(const uint32_t *)a),
		      cprof_node_infos_name(&f->infos, *(const uint32_t *)b));
}

/* Bytes that two names begin with alike, none of them a part of a character. */
static size_t same_start(const char *a, const char *b)
{
	size_t n = 0;
	while (a[n] && a[n] == b[n] && (unsigned char)a[n] < 0x80)
		n++;
	return n;
}

/* Functions that are not listed, in the order of their names; true if all of their names have room. */
static bool sort_others(struct cprof_flame *f, uint32_t *others, uint32_t *ret_n)
{
	uint32_t n = 0;
	uint64_t used = f->used + CPROF_FLAME_HEAD_BYTES;
	for (uint32_t i = 0; i < f->infos.n; i++) {
		if (!f->number[i])
			others[n++] = i;
	}
	*ret_n = n;
	if (n > CPROF_FLAME_DATA_BYTES / 6)
		return false;
	qsort_r(others, n, sizeof(*others), compare_names, f);
	const char *before = "";
	for (uint32_t i = 0; i < n; i++) {
		const char *name = cprof_node_infos_name(&f->infos, others[i]);
		used += 7 + cprof_flame_text_cost(name + same_start(before, name));
		before = name;
		if (used > CPROF_FLAME_DATA_BYTES || strlen(name) > NAME_BYTES)
			return false;
	}
	return true;
}

/* So that a search can tell that nothing else matches. */
static struct cprof_error *put_others(struct cprof_flame *f)
{
	CPROF_AUTO(free) uint32_t *others = calloc((size_t)f->infos.n + 1, sizeof(*others));
	if (!others)
		return cprof_error_no_memory();
	uint32_t n = 0;
	bool have_room = sort_others(f, others, &n);
	fprintf(f->out, ",\n\"unlisted\":%u,\"others\":", n);
	if (!have_room) {
		fputs("null", f->out);
		return NULL;
	}
	const char *before = "";
	fputs("{\"same\":[", f->out);
	for (uint32_t i = 0; i < n; i++) {
		const char *name = cprof_node_infos_name(&f->infos, others[i]);
		fprintf(f->out, "%s%zu", i ? "," : "", same_start(before, name));
		before = name;
	}
	before = "";
	fputs("],\"rest\":[", f->out);
	for (uint32_t i = 0; i < n; i++) {
		const char *name = cprof_node_infos_name(&f->infos, others[i]);
		fputs(i ? "," : "", f->out);
		cprof_json_put_string(f->out, name + same_start(before, name));
		before = name;
	}
	fputs("]}", f->out);
	return NULL;
}

struct cprof_error *cprof_flame_put_functions(struct cprof_flame *f)
{
	struct table tables[2] = { { "modules", "module", module_of, module_name, NULL },
				   { "files", "file", file_of, file_name, NULL } };
	struct cprof_error *err = put_table(f, &tables[0]);
	if (!err)
		err = put_table(f, &tables[1]);
	if (!err)
		put_functions(f, tables);
	free(tables[0].number);
	free(tables[1].number);
	return err ? err : put_others(f);
}
