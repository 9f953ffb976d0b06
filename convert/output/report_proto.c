/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/report_proto.c - proto: the profile, filtered, as a pprof file; topproto: the top entries as one.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "convert/graph/graph.h"
#include "cprof/pprof_write.h"

#define GZIP_LEVEL 6 /* zlib's default, and Go's for files that are kept */

static struct cprof_error *put_profile(const struct cprof_profile *profile, FILE *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	struct cprof_error *err = cprof_pprof_encode(profile, GZIP_LEVEL, &bytes);
	if (!err && fwrite(bytes.data, 1, bytes.len, out) != bytes.len)
		err = cprof_error_os(errno, "write a profile");
	return err;
}

static struct cprof_error *write_proto(struct cprof_report *report, FILE *out)
{
	struct cprof_profile *p = report->profile;
	/* Whoever opens the file sees first what was chosen here. */
	p->default_type = p->types[report->type].type;
	if (report->ratio > 0 && report->ratio != 1) {
		for (size_t i = 0; i < (size_t)p->n_samples * p->n_types; i++)
			p->values[i] = cprof_measure_truncate((double)p->values[i] * report->ratio);
	}
	return put_profile(p, out);
}

const struct cprof_format cprof_format_proto = {
	.name = "proto",
	.help = "the profile itself, merged and filtered, as a compressed pprof file",
	.suffix = "pb.gz",
	.flags = CPROF_FORMAT_NO_TRIM | CPROF_FORMAT_ADDRESSES | CPROF_FORMAT_BINARY |
		 CPROF_FORMAT_ANY_STRING,
	.write = write_proto,
};

/* One location and sample a node, into `top`. */
static struct cprof_error *add_node(const struct cprof_report *report,
				    const struct cprof_graph *graph, const struct cprof_node *node,
				    struct cprof_profile *top)
{
	const struct cprof_node_info *info = cprof_graph_info(graph, node);
	struct cprof_function function = { .start_line = info->start_line };
	struct cprof_line line = { .line = info->line };
	struct cprof_location location = { .address = info->address };
	uint32_t index;
	const char *name = cprof_profile_text(report->profile, info->name);
	const char *file = cprof_profile_text(report->profile, info->file);
	struct cprof_error *err = cprof_profile_string(top, name, &function.name);
	if (!err)
		err = cprof_profile_string(top, file, &function.filename);
	if (!err)
		err = cprof_profile_function(top, &function, &line.function);
	if (!err)
		err = cprof_profile_add_location(top, &location, &line, 1, &index);
	if (err)
		return err;
	int64_t values[2];
	const int64_t raw[2] = { cprof_node_cum(node), cprof_node_flat(node) };
	for (int i = 0; i < 2; i++)
		values[i] = cprof_measure_truncate(
			cprof_measure_scale(raw[i], report->sample_unit, report->output_unit)
				.value);
	return cprof_profile_add_sample(top, &index, 1, NULL, 0, values);
}

static struct cprof_error *make_top(struct cprof_report *report, const struct cprof_graph *graph,
				    struct cprof_profile *top)
{
	const struct cprof_profile *p = report->profile;
	top->time_ns = p->time_ns;
	top->duration_ns = p->duration_ns;
	struct cprof_error *err = cprof_profile_add_type(top, "cum", report->output_unit);
	if (!err)
		err = cprof_profile_add_type(top, "flat", report->output_unit);
	if (!err)
		err = cprof_profile_set_period(top, cprof_profile_text(p, p->period_type.type),
					       cprof_profile_text(p, p->period_type.unit),
					       p->period);
	for (uint32_t i = 0; !err && i < graph->n_order; i++)
		err = add_node(report, graph, &graph->nodes[graph->order[i]], top);
	return err;
}

static struct cprof_error *write_topproto(struct cprof_report *report, FILE *out)
{
	CPROF_AUTO(graph) struct cprof_graph *graph = NULL;
	CPROF_AUTO(profile) struct cprof_profile *top = NULL;
	struct cprof_error *err = cprof_graph_trimmed(report, 0, &graph);
	if (!err)
		err = cprof_profile_new(&top);
	if (!err)
		err = make_top(report, graph, top);
	return err ? err : put_profile(top, out);
}

const struct cprof_format cprof_format_topproto = {
	.name = "topproto",
	.help = "the top entries as a compressed pprof file",
	.suffix = "pb.gz",
	.flags = CPROF_FORMAT_ALL_NODES | CPROF_FORMAT_BINARY | CPROF_FORMAT_ANY_STRING,
	.write = write_topproto,
};
