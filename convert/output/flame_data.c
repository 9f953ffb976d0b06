/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/output/flame_data.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/output/flame_data_impl.h"
#include "convert/output/json.h"
#include "convert/report/time_label.h"

/* Who gets how much of CPROF_FLAME_DATA_BYTES: all stacks, the same by labels together. Functions of neither have the rest. */
#define TREE_BYTES   450000u
#define GROUPS_BYTES 200000u
#define MOST_KEYS    8u /* labels that can be split by */
#define FIRST_DEPTH  (1u << 16)

/* A tree and what it is split by. */
struct split {
	struct cprof_label_groups groups; /* n 0: all stacks, not split */
	struct cprof_pruned_tree *tree;
};

static void list_tree(struct cprof_flame *f, const struct cprof_pruned_tree *tree)
{
	f->used += tree->cost;
	for (uint32_t i = 0; i < tree->n_nodes; i++) {
		if (tree->nodes[i].frame < f->infos.n)
			cprof_flame_list(f, tree->nodes[i].frame);
	}
}

/* What groups cost, behind what infos do that are not listed yet. */
static uint32_t *make_costs(const struct cprof_flame *f, const struct cprof_label_groups *groups)
{
	uint32_t *cost = calloc((size_t)f->infos.n + groups->n + 1, sizeof(*cost));
	for (uint32_t i = 0; cost && i < f->infos.n; i++)
		cost[i] = f->number[i] ? 0 : f->cost[i];
	for (uint32_t i = 0; cost && i < groups->n; i++) {
		CPROF_AUTO(buffer) struct cprof_buffer name = { 0 };
		cprof_label_groups_name(groups, i, &name);
		cost[f->infos.n + i] = 4 + cprof_flame_text_cost(cprof_buffer_text(&name));
	}
	return cost;
}

static struct cprof_error *fit_tree(const struct cprof_flame *f, struct split *split,
				    uint64_t budget)
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

static void put_types(const struct cprof_flame *f)
{
	const struct cprof_profile *p = f->report->profile;
	fputs("\"types\":[", f->out);
	for (uint32_t i = 0; i < f->columns.n_types; i++) {
		uint32_t type = cprof_stack_columns_type(&f->columns, i);
		fprintf(f->out, "%s{\"name\":", i ? "," : "");
		cprof_flame_put_name(f->out, cprof_profile_text(p, p->types[type].type));
		fputs(",\"unit\":", f->out);
		cprof_flame_put_name(f->out, cprof_profile_text(p, p->types[type].unit));
		fprintf(f->out, ",\"total\":%" PRId64 "}", f->report->totals[type]);
	}
	fprintf(f->out, "],\"type\":%u,\"ratio\":%.17g,\"diff\":%s", f->columns.shown,
		f->report->ratio, f->columns.is_diff ? "true" : "false");
}

static void put_head(const struct cprof_flame *f)
{
	CPROF_AUTO(buffer) struct cprof_buffer labels = { 0 };
	cprof_report_profile_labels(f->report, &labels);
	const char *title = cprof_report_title(f->report);
	fputs("{\"title\":", f->out);
	cprof_flame_put_name(f->out, *title ? title : "profile");
	fputs(",\"labels\":", f->out);
	if (labels.len > CPROF_FLAME_HEAD_BYTES)
		cprof_flame_put_name(f->out, cprof_buffer_text(&labels));
	else
		cprof_json_put_string(f->out, cprof_buffer_text(&labels));
	fputc(',', f->out);
	put_types(f);
}

static void put_groups(const struct cprof_flame *f, const struct cprof_label_groups *groups)
{
	fputs("\"by\":", f->out);
	cprof_flame_put_name(f->out,
			     groups->n ? cprof_profile_text(f->report->profile, groups->key) : "");
	fputs(",\"groups\":[", f->out);
}

static void put_frame(const struct cprof_flame *f, const struct cprof_pruned_node *node,
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
static struct cprof_error *put_group_names(const struct cprof_flame *f, const struct split *split,
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
		cprof_flame_put_name(f->out, cprof_buffer_text(&name));
		number[frame - f->infos.n] = ++n;
	}
	return NULL;
}

static void put_nodes(const struct cprof_flame *f, const struct cprof_pruned_tree *tree,
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

static struct cprof_error *put_tree(const struct cprof_flame *f, const struct split *split)
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

static struct cprof_error *put_all(struct cprof_flame *f, const struct split *splits, uint32_t n)
{
	put_head(f);
	struct cprof_error *err = cprof_flame_put_functions(f);
	fputs(",\n\"trees\":[", f->out);
	for (uint32_t i = 0; !err && i < n; i++) {
		fputs(i ? ",\n" : "", f->out);
		err = put_tree(f, &splits[i]);
	}
	fputs("]}", f->out);
	return err;
}

/* A tree by times would be hundreds of trees, each of next to nothing, in the room of those by thread: time has reports of its own. */
static void leave_out_time(const struct cprof_profile *profile, uint32_t *keys, uint32_t *n_keys)
{
	const uint32_t time = cprof_time_label_find(profile).key;
	uint32_t n = 0;
	for (uint32_t i = 0; i < *n_keys; i++) {
		if (!time || keys[i] != time)
			keys[n++] = keys[i];
	}
	*n_keys = n;
}

/* The trees by labels that have several values, as many as there are splits for. */
static struct cprof_error *make_splits(struct cprof_flame *f, struct split *splits, uint32_t most,
				       uint32_t *n)
{
	CPROF_AUTO(free) uint32_t *keys = NULL;
	uint32_t n_keys = 0;
	struct cprof_error *err = cprof_label_groups_keys(f->report->profile, &keys, &n_keys);
	if (!err)
		leave_out_time(f->report->profile, keys, &n_keys);
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

static struct cprof_error *write_splits(struct cprof_flame *f, struct split *splits)
{
	uint32_t n = 1;
	struct cprof_error *err = fit_tree(f, &splits[0], TREE_BYTES);
	if (!err) {
		list_tree(f, splits[0].tree);
		err = make_splits(f, splits, MOST_KEYS + 1, &n);
	}
	if (!err)
		err = cprof_flame_list_others(f);
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
	struct cprof_flame f = { .report = report, .out = out };
	struct split splits[MOST_KEYS + 1] = { 0 };
	struct cprof_error *err = cprof_flame_functions_init(&f);
	if (!err)
		err = write_splits(&f, splits);
	cprof_flame_functions_deinit(&f);
	return err;
}
