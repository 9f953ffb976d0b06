/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/graph/graph_tags.c - the labels of samples, summed up by node, for drawings.
 *
 * Text labels of a sample count as one tag, whose name is in Graphviz's language ("key:value\nkey:value"); of the numbers
 * only "bytes" is kept, and belongs to the text labels beside it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/graph/dot_text.h"
#include "convert/graph/graph_impl.h"

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted and joined as lines for Graphviz; 0 where there are none. */
static struct cprof_error *join_labels(struct cprof_profile *p, const struct cprof_sample *sample,
				       uint32_t *ret)
{
	*ret = 0;
	char *parts[64];
	size_t n = 0;
	struct cprof_error *err = NULL;
	for (uint32_t i = 0; !err && i < sample->n_labels && n < 64; i++) {
		const struct cprof_label *label = &p->labels[sample->first_label + i];
		const char *key = cprof_profile_text(p, label->key);
		if (label->is_num || strcmp(key, "pprof::base") == 0)
			continue;
		if (asprintf(&parts[n], "%s:%s", key, cprof_profile_text(p, label->text)) < 0)
			err = cprof_error_no_memory();
		else
			n++;
	}
	struct cprof_buffer joined = { 0 };
	if (n)
		qsort(parts, n, sizeof(*parts), compare_text);
	for (size_t i = 0; i < n; i++) {
		cprof_buffer_puts(&joined, i ? CPROF_DOT_CENTER : "");
		cprof_dot_text_put(&joined, parts[i], strlen(parts[i]), CPROF_DOT_CENTER);
		free(parts[i]);
	}
	if (!err)
		err = cprof_buffer_error(&joined);
	if (!err)
		err = cprof_profile_string(p, cprof_buffer_text(&joined), ret);
	cprof_buffer_deinit(&joined);
	return err;
}

static struct cprof_error *find_tag(struct cprof_graph *g, uint32_t node,
				    const struct cprof_tag *wanted, struct cprof_tag **ret)
{
	uint64_t hash = cprof_hash_mix((uint64_t)wanted->group << 32 | wanted->name,
				       (uint64_t)node << 1 | wanted->is_num);
	for (;; hash = cprof_hash_u64(hash + 1)) {
		uint64_t *place = cprof_map64_put(&g->tag_map, hash, NULL);
		if (!place)
			return cprof_error_no_memory();
		if (!*place) {
			struct cprof_error *err = cprof_profile_grow(
				&g->tags, g->n_tags, &g->tags_room, 1, sizeof(*g->tags));
			if (err)
				return err;
			g->tags[g->n_tags] = *wanted;
			g->tags[g->n_tags].next = g->nodes[node].first_tag;
			g->tags[g->n_tags].node = node;
			g->nodes[node].first_tag = g->n_tags++;
			*place = g->n_tags;
		}
		struct cprof_tag *tag = &g->tags[*place - 1];
		if (tag->node == node && tag->group == wanted->group && tag->name == wanted->name &&
		    tag->is_num == wanted->is_num) {
			*ret = tag;
			return NULL;
		}
	}
}

static struct cprof_error *count(struct cprof_graph *g, uint32_t node,
				 const struct cprof_tag *wanted, uint32_t sample, bool flat)
{
	struct cprof_tag *tag;
	struct cprof_error *err = find_tag(g, node, wanted, &tag);
	if (err)
		return err;
	int64_t value = cprof_report_value(g->report, sample);
	int64_t divisor = cprof_report_divisor(g->report, sample);
	int64_t *sum = flat ? &tag->flat : &tag->cum;
	int64_t *div = flat ? &tag->flat_div : &tag->cum_div;
	*sum = cprof_measure_add(*sum, value);
	*div = cprof_measure_add(*div, divisor);
	return NULL;
}

struct path {
	const uint32_t *nodes;
	uint32_t n, leaf;
};

static struct cprof_error *count_path(struct cprof_graph *g, const struct path *path,
				      const struct cprof_tag *tag, uint32_t sample)
{
	struct cprof_error *err = NULL;
	for (uint32_t i = 0; !err && i < path->n; i++)
		err = count(g, path->nodes[i], tag, sample, false);
	if (!err && path->leaf != CPROF_GRAPH_NONE)
		err = count(g, path->leaf, tag, sample, true);
	return err;
}

struct cprof_error *cprof_graph_add_tags(struct cprof_graph *graph, const uint32_t *path_nodes,
					 uint32_t n, uint32_t sample_index, uint32_t leaf)
{
	struct cprof_profile *p = graph->report->profile;
	const struct cprof_sample *sample = &p->samples[sample_index];
	if (!sample->n_labels)
		return NULL;
	struct path path = { path_nodes, n, leaf };
	uint32_t group;
	struct cprof_error *err = join_labels(p, sample, &group);
	struct cprof_tag text = { .name = group };
	if (!err && group)
		err = count_path(graph, &path, &text, sample_index);
	for (uint32_t i = 0; !err && i < sample->n_labels; i++) {
		const struct cprof_label *label = &p->labels[sample->first_label + i];
		if (!label->is_num || strcmp(cprof_profile_text(p, label->key), "bytes") != 0)
			continue;
		const char *unit = cprof_label_units_get(&graph->report->label_units, label->key);
		char name[CPROF_MEASURE_LABEL_MAX];
		struct cprof_tag tag = { .group = group, .is_num = true, .value = label->num };
		err = cprof_profile_string(p, unit, &tag.unit);
		cprof_measure_label_text(name, label->num, unit, graph->report->output_unit);
		if (!err)
			err = cprof_profile_string(p, name, &tag.name);
		if (!err)
			err = count_path(graph, &path, &tag, sample_index);
	}
	return err;
}
