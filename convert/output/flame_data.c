/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/output/flame_data.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "convert/graph/fitted_tree.h"
#include "convert/graph/label_groups.h"
#include "convert/output/json.h"
#include "convert/output/shorten.h"

/* Who gets how much of CPROF_FLAME_DATA_BYTES: all stacks, the same by labels together, functions of neither. */
#define TREE_BYTES   450000u
#define GROUPS_BYTES 200000u
#define LISTED_BYTES 150000u
#define FILES_BYTES  30000u /* of modules; of source files */
#define MOST_KEYS    8u     /* labels that can be split by */
#define NAME_BYTES   1000u  /* of one name; the middle of longer ones is left out */
#define HEAD_BYTES   20000u /* of the profile's own text */
#define FIRST_DEPTH  (1u << 16)

struct flame {
	const struct cprof_report *report;
	struct cprof_node_infos infos;
	struct cprof_root_stacks stacks;
	struct cprof_stack_columns columns;
	struct cprof_info_sums sums;
	uint32_t *cost;                      /* by info: bytes of its row */
	uint32_t *module_of;                 /* by info: string; 0: unknown */
	struct cprof_source_place *place_of; /* by info; file 0: unknown, or in its name already */
	bool *not_inlined;                   /* by info */
	uint32_t *number;                    /* by info: in the page, + 1; 0: it is not listed */
	uint32_t *listed;                    /* infos, by their number */
	uint32_t n_listed;
	uint64_t used; /* bytes of trees and listed functions, at most */
	FILE *out;
};

/* A tree and what it is split by. */
struct split {
	struct cprof_label_groups groups; /* n 0: all stacks, not split */
	struct cprof_pruned_tree *tree;
};

static uint32_t text_cost(const char *text)
{
	size_t n = 0;
	for (; *text && n < NAME_BYTES * 6u; text++) {
		unsigned char c = (unsigned char)*text;
		n += c < 0x20 || c == '<' || c >= 0x7f || c == '"' || c == '\\' ? 6 : 1;
	}
	return (uint32_t)n;
}

/* The first place that is found: of functions that share a name, any. */
static void place_infos(struct flame *f, uint32_t location)
{
	const struct cprof_location *l = &f->report->profile->locations[location];
	for (uint32_t i = 0; i < l->n_lines; i++) {
		const uint32_t info = f->infos.slots[f->infos.slot_of[location] + i];
		const struct cprof_line *line = &f->report->profile->lines[l->first_line + i];
		if (!f->infos.all[info].file && !f->place_of[info].file)
			f->place_of[info] = f->report->places[line->function];
	}
}

static void weigh_infos(struct flame *f)
{
	const struct cprof_profile *p = f->report->profile;
	for (uint32_t i = 0; i < f->infos.n; i++) {
		const struct cprof_node_info *info = &f->infos.all[i];
		f->cost[i] = 60 + 20 * f->columns.n + text_cost(cprof_profile_text(p, info->name)) +
			     text_cost(cprof_profile_text(p, info->file));
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

static struct cprof_error *flame_init(struct flame *f)
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
	f->number = calloc(n, sizeof(*f->number));
	f->listed = calloc(n, sizeof(*f->listed));
	if (!f->cost || !f->module_of || !f->place_of || !f->not_inlined || !f->number ||
	    !f->listed)
		return cprof_error_no_memory();
	weigh_infos(f);
	return NULL;
}

static void flame_deinit(struct flame *f)
{
	cprof_node_infos_deinit(&f->infos);
	cprof_root_stacks_deinit(&f->stacks);
	cprof_stack_columns_deinit(&f->columns);
	cprof_info_sums_deinit(&f->sums);
	free(f->cost);
	free(f->module_of);
	free(f->place_of);
	free(f->not_inlined);
	free(f->number);
	free(f->listed);
}

static void list_info(struct flame *f, uint32_t info)
{
	if (f->number[info])
		return;
	f->listed[f->n_listed++] = info;
	f->number[info] = f->n_listed;
}

static void list_tree(struct flame *f, const struct cprof_pruned_tree *tree)
{
	f->used += tree->cost;
	for (uint32_t i = 0; i < tree->n_nodes; i++) {
		if (tree->nodes[i].frame < f->infos.n)
			list_info(f, tree->nodes[i].frame);
	}
}

/* What groups cost, behind what infos do that are not listed yet. */
static uint32_t *make_costs(const struct flame *f, const struct cprof_label_groups *groups)
{
	uint32_t *cost = calloc((size_t)f->infos.n + groups->n + 1, sizeof(*cost));
	for (uint32_t i = 0; cost && i < f->infos.n; i++)
		cost[i] = f->number[i] ? 0 : f->cost[i];
	for (uint32_t i = 0; cost && i < groups->n; i++) {
		CPROF_AUTO(buffer) struct cprof_buffer name = { 0 };
		cprof_label_groups_name(groups, i, &name);
		cost[f->infos.n + i] = 4 + text_cost(cprof_buffer_text(&name));
	}
	return cost;
}

static struct cprof_error *fit_tree(const struct flame *f, struct split *split, uint64_t budget)
{
	CPROF_AUTO(free) uint32_t *cost = make_costs(f, &split->groups);
	if (!cost)
		return cprof_error_no_memory();
	struct cprof_pruned_wish wish = { .columns = &f->columns,
					  .stacks = &f->stacks,
					  .n_infos = f->infos.n,
					  .group_of = split->groups.group_of,
					  .n_groups = split->groups.n,
					  .max_depth = FIRST_DEPTH,
					  .cost = cost,
					  .node_cost = 10 + 4 * f->columns.n,
					  .budget = budget };
	return cprof_fitted_tree_new(&wish, &split->tree);
}

static int compare_cum(const void *a, const void *b, void *flame)
{
	const struct flame *f = flame;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	size_t column = f->columns.is_diff ? 2 * (size_t)f->columns.shown : f->columns.shown;
	int64_t cx = f->sums.cum[x * (size_t)f->columns.n + column];
	int64_t cy = f->sums.cum[y * (size_t)f->columns.n + column];
	if (cx != cy)
		return cx > cy ? -1 : 1;
	return (x > y) - (x < y);
}

/* Functions that no tree shows, the heaviest first, as long as there is room. */
static struct cprof_error *list_others(struct flame *f)
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
		list_info(f, order[i]);
	}
	f->used += used < LISTED_BYTES ? used : LISTED_BYTES;
	return NULL;
}

static void put_name(FILE *out, const char *text)
{
	CPROF_AUTO(buffer) struct cprof_buffer cut = { 0 };
	cprof_shorten_middle(text, NAME_BYTES, &cut);
	cprof_json_put_string(out, cprof_buffer_text(&cut));
}

static void put_types(const struct flame *f)
{
	const struct cprof_profile *p = f->report->profile;
	fputs("\"types\":[", f->out);
	for (uint32_t i = 0; i < f->columns.n_types; i++) {
		uint32_t type = cprof_stack_columns_type(&f->columns, i);
		fprintf(f->out, "%s{\"name\":", i ? "," : "");
		put_name(f->out, cprof_profile_text(p, p->types[type].type));
		fputs(",\"unit\":", f->out);
		put_name(f->out, cprof_profile_text(p, p->types[type].unit));
		fprintf(f->out, ",\"total\":%" PRId64 "}", f->report->totals[type]);
	}
	fprintf(f->out, "],\"type\":%u,\"ratio\":%.17g,\"diff\":%s", f->columns.shown,
		f->report->ratio, f->columns.is_diff ? "true" : "false");
}

static void put_head(const struct flame *f)
{
	CPROF_AUTO(buffer) struct cprof_buffer labels = { 0 };
	cprof_report_profile_labels(f->report, &labels);
	const char *title = cprof_report_title(f->report);
	fputs("{\"title\":", f->out);
	put_name(f->out, *title ? title : "profile");
	fputs(",\"labels\":", f->out);
	if (labels.len > HEAD_BYTES)
		put_name(f->out, cprof_buffer_text(&labels));
	else
		cprof_json_put_string(f->out, cprof_buffer_text(&labels));
	fputc(',', f->out);
	put_types(f);
}

static uint32_t module_of(const struct flame *f, uint32_t info)
{
	return f->module_of[info];
}

static const char *module_name(const struct flame *f, uint32_t string)
{
	return cprof_path_base(cprof_profile_text(f->report->profile, string));
}

static uint32_t file_of(const struct flame *f, uint32_t info)
{
	return f->place_of[info].file;
}

static const char *file_name(const struct flame *f, uint32_t string)
{
	const struct cprof_config *config = &f->report->config;
	return cprof_path_trim(cprof_profile_text(f->report->profile, string), config->trim_path,
			       config->source_path);
}

/* What listed functions are in, and what it is called. */
struct table {
	const char *name, *column;
	uint32_t (*of)(const struct flame *f, uint32_t info); /* string; 0: unknown */
	const char *(*text)(const struct flame *f, uint32_t string);
	uint32_t *number; /* owned: by string, from 1; 0: it is not in the table */
};

static struct cprof_error *put_table(struct flame *f, struct table *table)
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
		if (used + text_cost(text) + 3 > FILES_BYTES)
			continue;
		used += text_cost(text) + 3;
		fputs(n ? "," : "", f->out);
		put_name(f->out, text);
		table->number[string] = ++n;
	}
	fputc(']', f->out);
	f->used += used;
	return NULL;
}

static void put_column(const struct flame *f, const struct table *table)
{
	fprintf(f->out, "],\n\"%s\":[", table->column);
	for (uint32_t i = 0; i < f->n_listed; i++)
		fprintf(f->out, "%s%d", i ? "," : "",
			(int)table->number[table->of(f, f->listed[i])] - 1);
}

static void put_sums(const struct flame *f, const char *name, const int64_t *sums)
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

static void put_functions(struct flame *f, const struct table tables[2])
{
	fputs(",\n\"functions\":{\"name\":[", f->out);
	for (uint32_t i = 0; i < f->n_listed; i++) {
		fputs(i ? "," : "", f->out);
		put_name(f->out, cprof_node_infos_name(&f->infos, f->listed[i]));
	}
	put_column(f, &tables[0]);
	put_column(f, &tables[1]);
	fputs("],\n\"line\":[", f->out);
	for (uint32_t i = 0; i < f->n_listed; i++)
		fprintf(f->out, "%s%" PRId64, i ? "," : "", f->place_of[f->listed[i]].line);
	fputs("],\n\"inlined\":[", f->out);
	for (uint32_t i = 0; i < f->n_listed; i++)
		fprintf(f->out, "%s%d", i ? "," : "", !f->not_inlined[f->listed[i]]);
	fputc(']', f->out);
	put_sums(f, "flat", f->sums.flat);
	put_sums(f, "cum", f->sums.cum);
	fputc('}', f->out);
}

static int compare_names(const void *a, const void *b, void *flame)
{
	struct flame *f = flame;
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
static bool sort_others(struct flame *f, uint32_t *others, uint32_t *ret_n)
{
	uint32_t n = 0;
	uint64_t used = f->used + HEAD_BYTES;
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
		used += 7 + text_cost(name + same_start(before, name));
		before = name;
		if (used > CPROF_FLAME_DATA_BYTES || strlen(name) > NAME_BYTES)
			return false;
	}
	return true;
}

/* So that a search can tell that nothing else matches. */
static struct cprof_error *put_others(struct flame *f)
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

static void put_groups(const struct flame *f, const struct cprof_label_groups *groups)
{
	fputs("\"by\":", f->out);
	put_name(f->out, groups->n ? cprof_profile_text(f->report->profile, groups->key) : "");
	fputs(",\"groups\":[", f->out);
}

static void put_frame(const struct flame *f, const struct cprof_pruned_node *node,
		      const uint32_t *group_number)
{
	if (node->frame == CPROF_PRUNED_FILLER)
		fprintf(f->out, "-%u", node->joined);
	else if (node->frame < f->infos.n)
		fprintf(f->out, "%u", f->number[node->frame] - 1);
	else
		fprintf(f->out, "%u", f->n_listed + group_number[node->frame - f->infos.n] - 1);
}

/* Groups that have a node, numbered from 1 in the order of the nodes. */
static struct cprof_error *put_group_names(const struct flame *f, const struct split *split,
					   uint32_t *number)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < split->tree->n_nodes; i++) {
		uint32_t frame = split->tree->nodes[i].frame;
		if (frame == CPROF_PRUNED_FILLER || frame < f->infos.n)
			continue;
		CPROF_AUTO(buffer) struct cprof_buffer name = { 0 };
		cprof_label_groups_name(&split->groups, frame - f->infos.n, &name);
		struct cprof_error *err = cprof_buffer_error(&name);
		if (err)
			return err;
		fputs(n ? "," : "", f->out);
		put_name(f->out, cprof_buffer_text(&name));
		number[frame - f->infos.n] = ++n;
	}
	return NULL;
}

static void put_nodes(const struct flame *f, const struct cprof_pruned_tree *tree,
		      const uint32_t *group_number)
{
	fputs("],\n\"up\":[", f->out);
	for (uint32_t i = 0; i < tree->n_nodes; i++)
		fprintf(f->out, "%s%u", i ? "," : "",
			i ? tree->nodes[i - 1].depth + 1 - tree->nodes[i].depth : 0);
	fputs("],\n\"frame\":[", f->out);
	for (uint32_t i = 0; i < tree->n_nodes; i++) {
		fputs(i ? "," : "", f->out);
		put_frame(f, &tree->nodes[i], group_number);
	}
	fputs("],\n\"self\":[", f->out);
	for (uint32_t c = 0; c < tree->n_columns; c++) {
		fputs(c ? ",[" : "[", f->out);
		for (uint32_t i = 0; i < tree->n_nodes; i++)
			fprintf(f->out, "%s%" PRId64, i ? "," : "",
				tree->self[(size_t)i * tree->n_columns + c]);
		fputc(']', f->out);
	}
	fputs("]}", f->out);
}

static struct cprof_error *put_tree(const struct flame *f, const struct split *split)
{
	CPROF_AUTO(free) uint32_t *number = calloc((size_t)split->groups.n + 1, sizeof(*number));
	if (!number)
		return cprof_error_no_memory();
	fputc('{', f->out);
	put_groups(f, &split->groups);
	struct cprof_error *err = put_group_names(f, split, number);
	if (!err)
		put_nodes(f, split->tree, number);
	return err;
}

static struct cprof_error *put_all(struct flame *f, const struct split *splits, uint32_t n)
{
	struct table tables[2] = { { "modules", "module", module_of, module_name, NULL },
				   { "files", "file", file_of, file_name, NULL } };
	put_head(f);
	struct cprof_error *err = put_table(f, &tables[0]);
	if (!err)
		err = put_table(f, &tables[1]);
	if (!err)
		put_functions(f, tables);
	free(tables[0].number);
	free(tables[1].number);
	if (!err)
		err = put_others(f);
	fputs(",\n\"trees\":[", f->out);
	for (uint32_t i = 0; !err && i < n; i++) {
		fputs(i ? ",\n" : "", f->out);
		err = put_tree(f, &splits[i]);
	}
	fputs("]}", f->out);
	return err;
}

/* The trees by labels that have several values, as many as there are splits for. */
static struct cprof_error *make_splits(struct flame *f, struct split *splits, uint32_t most,
				       uint32_t *n)
{
	CPROF_AUTO(free) uint32_t *keys = NULL;
	uint32_t n_keys = 0;
	struct cprof_error *err = cprof_label_groups_keys(f->report->profile, &keys, &n_keys);
	if (n_keys > MOST_KEYS)
		n_keys = MOST_KEYS;
	for (uint32_t i = 0; !err && i < n_keys && *n < most; i++) {
		struct split *split = &splits[*n];
		err = cprof_label_groups_init(&split->groups, f->report->profile, keys[i]);
		if (!err && split->groups.n < 2) {
			cprof_label_groups_deinit(&split->groups);
			continue;
		}
		(*n)++;
		if (!err)
			err = fit_tree(f, split, GROUPS_BYTES / n_keys);
		if (!err)
			list_tree(f, split->tree);
	}
	return err;
}

static struct cprof_error *write_splits(struct flame *f, struct split *splits)
{
	uint32_t n = 1;
	struct cprof_error *err = fit_tree(f, &splits[0], TREE_BYTES);
	if (!err) {
		list_tree(f, splits[0].tree);
		err = make_splits(f, splits, MOST_KEYS + 1, &n);
	}
	if (!err)
		err = list_others(f);
	if (!err)
		err = put_all(f, splits, n);
	for (uint32_t i = 0; i < n; i++) {
		cprof_label_groups_deinit(&splits[i].groups);
		cprof_pruned_tree_free(splits[i].tree);
	}
	return err;
}

struct cprof_error *cprof_flame_data_write(const struct cprof_report *report, FILE *out)
{
	struct flame f = { .report = report, .out = out };
	struct split splits[MOST_KEYS + 1] = { 0 };
	struct cprof_error *err = flame_init(&f);
	if (!err)
		err = write_splits(&f, splits);
	flame_deinit(&f);
	return err;
}
