/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/web/page_stacks.c - the pages of whole stacks: the flame graph's data, and traces, the heaviest samples first.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "convert/graph/node_info.h"
#include "convert/output/flame_data.h"
#include "convert/output/json.h"
#include "convert/web/web_json.h"
#include "convert/web/web_page.h"

#define MOST_TRACES 1000u

static struct cprof_error *write_flame(struct cprof_report *report, FILE *out)
{
	return cprof_flame_data_write(report, out);
}

const struct cprof_format cprof_web_flame = {
	.name = "flamegraph",
	.help = "",
	.suffix = "json",
	.flags = CPROF_FORMAT_NO_TRIM | CPROF_FORMAT_ANY_STRING | CPROF_FORMAT_ALL_TYPES |
		 CPROF_FORMAT_PLACES,
	.write = write_flame,
};

static int64_t weight(const struct cprof_report *report, uint32_t sample)
{
	return cprof_measure_divide(cprof_report_value(report, sample),
				    cprof_report_divisor(report, sample));
}

static int compare_weight(const void *a, const void *b, void *ctx)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	const int64_t p = cprof_measure_abs(weight(ctx, x)), q = cprof_measure_abs(weight(ctx, y));
	return p != q ? (p > q ? -1 : 1) : (x > y) - (x < y);
}

static void put_labels(const struct cprof_report *report, const struct cprof_sample *sample,
		       FILE *out)
{
	const struct cprof_profile *p = report->profile;
	for (uint32_t i = 0; i < sample->n_labels; i++) {
		const struct cprof_label *label = &p->labels[sample->first_label + i];
		CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
		if (label->is_num)
			cprof_measure_label(&text, label->num,
					    cprof_label_units_get(&report->label_units, label->key),
					    "auto");
		else
			cprof_buffer_puts(&text, cprof_profile_text(p, label->text));
		fputs(i ? ",[" : "[", out);
		cprof_json_put_string(out, cprof_profile_text(p, label->key));
		fputc(',', out);
		cprof_json_put_string(out, cprof_buffer_text(&text));
		fputc(']', out);
	}
}

/* Frames are numbers in the table of names: leaf first. */
static void put_frames(const struct cprof_report *report, const struct cprof_node_infos *infos,
		       const struct cprof_sample *sample, uint32_t *number, uint32_t *n, FILE *out)
{
	const char *separator = "";
	for (uint32_t i = 0; i < sample->n_locations; i++) {
		uint32_t location = report->profile->stacks[sample->first_location + i];
		for (uint32_t slot = infos->slot_of[location]; slot < infos->slot_of[location + 1];
		     slot++) {
			uint32_t info = infos->slots[slot];
			if (!number[info])
				number[info] = ++*n;
			fprintf(out, "%s%u", separator, number[info] - 1);
			separator = ",";
		}
	}
}

static struct cprof_error *put_names(struct cprof_node_infos *infos, const uint32_t *number,
				     uint32_t n, FILE *out)
{
	CPROF_AUTO(free) uint32_t *by_number = calloc((size_t)n + 1, sizeof(*by_number));
	if (!by_number)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < infos->n; i++) {
		if (number[i])
			by_number[number[i] - 1] = i;
	}
	for (uint32_t i = 0; i < n; i++) {
		fputs(i ? ",\n" : "\n", out);
		cprof_json_put_string(out, cprof_node_infos_name(infos, by_number[i]));
	}
	return NULL;
}

static uint32_t *sort_samples(struct cprof_report *report, uint32_t *ret_n)
{
	const struct cprof_profile *p = report->profile;
	uint32_t *order = calloc((size_t)p->n_samples + 1, sizeof(*order)), n = 0;
	for (uint32_t i = 0; order && i < p->n_samples; i++) {
		if (p->samples[i].n_locations)
			order[n++] = i;
	}
	if (n)
		qsort_r(order, n, sizeof(*order), compare_weight, report);
	*ret_n = n;
	return order;
}

static struct cprof_error *write_samples(struct cprof_report *report,
					 struct cprof_node_infos *infos, FILE *out)
{
	uint32_t n, names = 0;
	CPROF_AUTO(free) uint32_t *order = sort_samples(report, &n);
	CPROF_AUTO(free) uint32_t *number = calloc((size_t)infos->n + 1, sizeof(*number));
	if (!order || !number)
		return cprof_error_no_memory();
	cprof_web_json_head(report, NULL, out);
	fprintf(out, ",\"n\":%u,\"traces\":[", n);
	for (uint32_t i = 0; i < n && i < MOST_TRACES; i++) {
		const struct cprof_sample *sample = &report->profile->samples[order[i]];
		fprintf(out, "%s{\"value\":%" PRId64 ",\"labels\":[", i ? ",\n" : "\n",
			weight(report, order[i]));
		put_labels(report, sample, out);
		fputs("],\"frames\":[", out);
		put_frames(report, infos, sample, number, &names, out);
		fputs("]}", out);
	}
	fputs("],\n\"names\":[", out);
	struct cprof_error *err = put_names(infos, number, names, out);
	fputs("]}\n", out);
	return err;
}

static struct cprof_error *write_traces(struct cprof_report *report, FILE *out)
{
	struct cprof_node_infos infos = { 0 };
	struct cprof_error *err = cprof_node_infos_init(&infos, report);
	if (!err)
		err = write_samples(report, &infos, out);
	cprof_node_infos_deinit(&infos);
	return err;
}

const struct cprof_format cprof_web_traces = {
	.name = "traces",
	.help = "",
	.suffix = "json",
	.flags = CPROF_FORMAT_WHOLE_PATHS | CPROF_FORMAT_ANY_STRING,
	.write = write_traces,
};
