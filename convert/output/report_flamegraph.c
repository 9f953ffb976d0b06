/*
 * convert/output/report_flamegraph.c - flamegraph: one HTML file that shows all stacks and needs nothing else.
 *
 * The page stays below a megabyte whatever the profile: flame_frames.h chooses what it has room for. What is too narrow has
 * no name on the page, and its search says how much that may be.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/graph/stack_tree.h"
#include "convert/output/assets.h"
#include "convert/output/flame_frames.h"
#include "convert/output/json.h"

#define DATA_BYTES 900000u /* for names and frames together; the page itself is some 12 kB */

struct flame {
	struct cprof_report *report;
	struct cprof_graph *tree;
	struct cprof_flame_frames frames;
	uint32_t *name_number; /* by info; + 1, 0: not used */
	uint32_t n_names;      /* the name of narrow frames is the last, behind these */
	FILE *out;
};

static void put_frame(struct flame *f, const struct cprof_flame_frame *frame, uint32_t depth,
		      bool first)
{
	uint32_t name =
		frame->info == CPROF_FLAME_NARROW ? f->n_names : f->name_number[frame->info] - 1;
	fprintf(f->out, "%s%u,%u,%" PRIu64, first ? "" : ",", depth, name, frame->weight);
	/* The sum only where it is not the width: what got smaller and what got larger in one frame. */
	if (frame->value >= 0 && (uint64_t)frame->value == frame->weight)
		fputs(",", f->out);
	else
		fprintf(f->out, ",%" PRId64, frame->value);
}

/* All frames, parents first: depth, name, width, value. No recursion: stacks may be deep. */
static struct cprof_error *put_frames(struct flame *f)
{
	const struct cprof_flame_frames *frames = &f->frames;
	CPROF_AUTO(free) uint32_t *path = calloc((size_t)frames->n + 1, sizeof(*path));
	uint32_t depth = 0, at = frames->first_root;
	if (!path)
		return cprof_error_no_memory();
	for (bool first = true; at != CPROF_GRAPH_NONE; first = false) {
		put_frame(f, &frames->all[at], depth, first);
		path[depth] = at;
		if (frames->all[at].first_child != CPROF_GRAPH_NONE) {
			at = frames->all[at].first_child;
			depth++;
			continue;
		}
		while (depth && frames->all[path[depth]].next_sibling == CPROF_GRAPH_NONE)
			depth--;
		at = frames->all[path[depth]].next_sibling;
	}
	return NULL;
}

static void put_names(struct flame *f)
{
	for (uint32_t i = 0; i < f->frames.n; i++) {
		uint32_t info = f->frames.all[i].info;
		if (info == CPROF_FLAME_NARROW || f->name_number[info])
			continue;
		f->name_number[info] = ++f->n_names;
		cprof_json_put_string(f->out, cprof_node_infos_name(&f->tree->infos, info));
		fputc(',', f->out);
	}
	cprof_json_put_string(f->out, "(narrow frames)");
}

static struct cprof_error *put_data(struct flame *f)
{
	const struct cprof_report *report = f->report;
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
	fprintf(f->out,
		",\"total\":%" PRId64 ",\"width\":%" PRIu64 ",\"hidden\":%u,\"left_out\":%" PRIu64
		",\n\"names\":[",
		report->total, f->frames.width, f->frames.n_nameless, f->frames.left_out);
	put_names(f);
	/* An empty value means "the same as the width"; JSON has no such thing, so it is text. */
	fputs("],\n\"frames\":\"", f->out);
	struct cprof_error *err = put_frames(f);
	fputs("\"}", f->out);
	return err;
}

static struct cprof_error *put_page(struct flame *f)
{
	static const char marker[] = "@DATA@";
	const char *page = cprof_asset_flamegraph;
	const char *at = memmem(page, cprof_asset_flamegraph_len, marker, sizeof(marker) - 1);
	if (!at)
		return cprof_error_new(CPROF_ERR_BAD_DATA,
				       "the flame graph page has no place for data");
	fwrite(page, 1, (size_t)(at - page), f->out);
	struct cprof_error *err = put_data(f);
	at += sizeof(marker) - 1;
	fwrite(at, 1, cprof_asset_flamegraph_len - (size_t)(at - page), f->out);
	return err;
}

static struct cprof_error *write_flamegraph(struct cprof_report *report, FILE *out)
{
	CPROF_AUTO(graph) struct cprof_graph *tree = NULL;
	struct cprof_error *err = cprof_stack_tree_new(report, &tree);
	if (err)
		return err;
	CPROF_AUTO(free)
	uint32_t *name_number = calloc((size_t)tree->infos.n + 1, sizeof(*name_number));
	if (!name_number)
		return cprof_error_no_memory();
	struct flame f = { .report = report, .tree = tree, .name_number = name_number, .out = out };
	err = cprof_flame_frames_choose(tree, DATA_BYTES, &f.frames);
	if (err)
		return err;
	err = put_page(&f);
	cprof_flame_frames_deinit(&f.frames);
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
