/*
 * convert/output/report_flamegraph.c - flamegraph: one HTML file that shows all stacks and needs nothing else.
 *
 * The page stays below a megabyte whatever the profile: frames are taken from the widest down until the
 * room is used up, and the page says how much of the total is not shown in full.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/graph/stack_tree.h"
#include "convert/output/assets.h"
#include "convert/output/json.h"

#define DATA_BYTES 900000u /* for names and frames together; the page itself is some 12 kB */
#define NODE_BYTES 26u     /* of a frame, at most as a rule: "12,123456789,123456789," */

struct flame {
	struct cprof_report *report;
	struct cprof_graph *tree;
	uint64_t *weight; /* by node: what it is wide; all changes below it in a comparison */
	uint32_t *first_child, *next_sibling;
	bool *kept;
	uint32_t *name_number; /* by info; + 1, 0: not used */
	uint32_t *names;       /* infos in order of use */
	uint32_t n_names, n_kept;
	FILE *out;
};

/* Children have larger numbers than their parents, so one pass from the end sums everything up. */
static void weigh(struct flame *f)
{
	for (uint32_t i = f->tree->n_nodes; i-- > 0;) {
		const struct cprof_node *node = &f->tree->nodes[i];
		f->weight[i] += (uint64_t)cprof_measure_abs(cprof_node_flat(node));
		if (node->parent != CPROF_GRAPH_NONE)
			f->weight[node->parent] += f->weight[i];
	}
}

static int compare_weights(const void *a, const void *b, void *flame)
{
	const struct flame *f = flame;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	if (f->weight[x] != f->weight[y])
		return f->weight[x] > f->weight[y] ? -1 : 1;
	return (x > y) - (x < y); /* parents before children */
}

/* Widest first, until there is no room. A child is never wider than its parent, so no frame hangs in the air. */
static struct cprof_error *choose(struct flame *f)
{
	CPROF_AUTO(free) uint32_t *order = calloc((size_t)f->tree->n_nodes + 1, sizeof(*order));
	if (!order)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < f->tree->n_nodes; i++)
		order[i] = i;
	if (f->tree->n_nodes)
		qsort_r(order, f->tree->n_nodes, sizeof(*order), compare_weights, f);
	size_t used = 0;
	for (uint32_t i = 0; i < f->tree->n_nodes && f->weight[order[i]]; i++) {
		uint32_t info = f->tree->nodes[order[i]].info;
		size_t bytes = NODE_BYTES;
		if (!f->name_number[info])
			bytes += strlen(cprof_graph_name(f->tree, order[i])) + 4;
		if (used + bytes > DATA_BYTES)
			break;
		used += bytes;
		if (!f->name_number[info]) {
			f->names[f->n_names++] = info;
			f->name_number[info] = f->n_names;
		}
		f->kept[order[i]] = true;
		f->n_kept++;
	}
	return NULL;
}

static void link_children(struct flame *f, uint32_t *ret_roots)
{
	*ret_roots = CPROF_GRAPH_NONE;
	for (uint32_t i = 0; i < f->tree->n_nodes; i++)
		f->first_child[i] = f->next_sibling[i] = CPROF_GRAPH_NONE;
	for (uint32_t i = f->tree->n_nodes; i-- > 0;) {
		uint32_t parent = f->tree->nodes[i].parent;
		uint32_t *first = parent == CPROF_GRAPH_NONE ? ret_roots : &f->first_child[parent];
		if (!f->kept[i])
			continue;
		f->next_sibling[i] = *first;
		*first = i;
	}
}

static void put_node(struct flame *f, uint32_t node, uint32_t depth, bool first)
{
	const struct cprof_node *n = &f->tree->nodes[node];
	int64_t cum = cprof_node_cum(n);
	fprintf(f->out, "%s%u,%u,%" PRIu64, first ? "" : ",", depth, f->name_number[n->info] - 1,
		f->weight[node]);
	/* The sum only where it is not the width: what got smaller and what got larger in one frame. */
	if (cum >= 0 && (uint64_t)cum == f->weight[node])
		fputs(",", f->out);
	else
		fprintf(f->out, ",%" PRId64, cum);
}

/* All frames, parents first: depth, name, width, value. No recursion: stacks may be deep. */
static void put_nodes(struct flame *f, uint32_t root)
{
	uint32_t depth = 0;
	bool first = true;
	for (uint32_t at = root; at != CPROF_GRAPH_NONE;) {
		put_node(f, at, depth, first);
		first = false;
		if (f->first_child[at] != CPROF_GRAPH_NONE) {
			at = f->first_child[at];
			depth++;
			continue;
		}
		while (at != CPROF_GRAPH_NONE && f->next_sibling[at] == CPROF_GRAPH_NONE) {
			at = f->tree->nodes[at].parent;
			depth--;
		}
		if (at != CPROF_GRAPH_NONE)
			at = f->next_sibling[at];
	}
}

static void put_data(struct flame *f, uint32_t root)
{
	const struct cprof_report *report = f->report;
	uint64_t whole = 0;
	for (uint32_t i = 0; i < f->tree->n_nodes; i++) {
		if (f->tree->nodes[i].parent == CPROF_GRAPH_NONE)
			whole += f->weight[i];
	}
	CPROF_AUTO(buffer) struct cprof_buffer labels = { 0 };
	cprof_report_profile_labels(report, &labels);
	const char *title = cprof_report_title(report);
	fputs("{\"title\":", f->out);
	cprof_json_put_string(f->out, *title ? title : "profile");
	fputs(",\"type\":", f->out);
	cprof_json_put_string(f->out, report->type_name);
	fputs(",\"unit\":", f->out);
	cprof_json_put_string(f->out, report->sample_unit);
	fputs(",\"labels\":", f->out);
	cprof_json_put_string(f->out, cprof_buffer_text(&labels));
	fprintf(f->out, ",\"total\":%" PRId64 ",\"width\":%" PRIu64 ",\"hidden\":%u,\n\"names\":[",
		report->total, whole, f->tree->n_nodes - f->n_kept);
	for (uint32_t i = 0; i < f->n_names; i++) {
		CPROF_AUTO(buffer) struct cprof_buffer name = { 0 };
		const struct cprof_node_info *info = &f->tree->infos.all[f->names[i]];
		cprof_node_infos_compose(
			&f->tree->infos, info, cprof_profile_text(report->profile, info->name),
			cprof_profile_text(report->profile, info->file), " ", &name);
		fputs(i ? "," : "", f->out);
		cprof_json_put_string(f->out, cprof_buffer_text(&name));
	}
	/* An empty value means "the same as the width"; JSON has no such thing, so it is text. */
	fputs("],\n\"frames\":\"", f->out);
	put_nodes(f, root);
	fputs("\"}", f->out);
}

static struct cprof_error *put_page(struct flame *f)
{
	static const char marker[] = "@DATA@";
	const char *page = cprof_asset_flamegraph;
	const char *at = memmem(page, cprof_asset_flamegraph_len, marker, sizeof(marker) - 1);
	if (!at)
		return cprof_error_new(CPROF_ERR_BAD_DATA,
				       "the flame graph page has no place for data");
	struct cprof_error *err = choose(f);
	if (err)
		return err;
	uint32_t root;
	link_children(f, &root);
	fwrite(page, 1, (size_t)(at - page), f->out);
	put_data(f, root);
	at += sizeof(marker) - 1;
	fwrite(at, 1, cprof_asset_flamegraph_len - (size_t)(at - page), f->out);
	return NULL;
}

static struct cprof_error *write_flamegraph(struct cprof_report *report, FILE *out)
{
	CPROF_AUTO(graph) struct cprof_graph *tree = NULL;
	struct cprof_error *err = cprof_stack_tree_new(report, &tree);
	if (err)
		return err;
	size_t n = (size_t)tree->n_nodes + 1;
	struct flame f = { .report = report, .tree = tree, .out = out };
	f.weight = calloc(n, sizeof(*f.weight));
	f.first_child = calloc(n, sizeof(*f.first_child));
	f.next_sibling = calloc(n, sizeof(*f.next_sibling));
	f.kept = calloc(n, sizeof(*f.kept));
	f.name_number = calloc((size_t)tree->infos.n + 1, sizeof(*f.name_number));
	f.names = calloc((size_t)tree->infos.n + 1, sizeof(*f.names));
	if (f.weight && f.first_child && f.next_sibling && f.kept && f.name_number && f.names) {
		weigh(&f);
		err = put_page(&f);
	} else {
		err = cprof_error_no_memory();
	}
	free(f.weight);
	free(f.first_child);
	free(f.next_sibling);
	free(f.kept);
	free(f.name_number);
	free(f.names);
	return err;
}

const struct cprof_format cprof_format_flamegraph = {
	.name = "flamegraph",
	.help = "a flame graph as one HTML file, with search and zoom; needs no network",
	.suffix = "html",
	.flags = CPROF_FORMAT_NO_TRIM | CPROF_FORMAT_TREE | CPROF_FORMAT_BINARY |
		 CPROF_FORMAT_ANY_STRING,
	.write = write_flamegraph,
};
