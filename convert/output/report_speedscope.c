/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/report_speedscope.c - speedscope: the file format of speedscope.app, one weighted stack a sample.
 *
 * "File format" in speedscope's wiki; schema https://www.speedscope.app/file-format-schema.json.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/version.h"
#include "convert/graph/node_info.h"
#include "convert/output/json.h"

/* The units that speedscope knows; all others are "none". */
static const char *speedscope_unit(const char *unit)
{
	static const char *const known[] = { "nanoseconds", "microseconds", "milliseconds",
					     "seconds", "bytes" };
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(unit, known[i]) == 0)
			return known[i];
	}
	return "none";
}

static void put_frames(struct cprof_report *report, const struct cprof_node_infos *infos, FILE *out)
{
	const struct cprof_profile *p = report->profile;
	for (uint32_t i = 0; i < infos->n; i++) {
		const struct cprof_node_info *info = &infos->all[i];
		struct cprof_buffer name = { 0 };
		const char *function = cprof_profile_text(p, info->name);
		if (!*function)
			cprof_node_infos_compose(infos, info, "", "", " ", &name);
		fputs(i ? ",\n{\"name\":" : "\n{\"name\":", out);
		cprof_json_put_string(out, *function ? function : cprof_buffer_text(&name));
		if (info->file) {
			fputs(",\"file\":", out);
			cprof_json_put_string(out, cprof_profile_text(p, info->file));
		}
		if (info->line)
			fprintf(out, ",\"line\":%" PRId64, info->line);
		fputc('}', out);
		cprof_buffer_deinit(&name);
	}
}

static bool is_shown(const struct cprof_report *report, uint32_t sample)
{
	return cprof_report_value(report, sample) > 0 &&
	       report->profile->samples[sample].n_locations > 0;
}

static void put_stack(const struct cprof_report *report, const struct cprof_node_infos *infos,
		      uint32_t index, FILE *out)
{
	const struct cprof_profile *p = report->profile;
	const struct cprof_sample *sample = &p->samples[index];
	char separator = '[';
	for (uint32_t i = sample->n_locations; i-- > 0;) {
		uint32_t location = p->stacks[sample->first_location + i];
		for (uint32_t slot = infos->slot_of[location + 1];
		     slot-- > infos->slot_of[location];) {
			fprintf(out, "%c%u", separator, infos->slots[slot]);
			separator = ',';
		}
	}
	fputc(']', out);
}

static int64_t put_samples(const struct cprof_report *report, const struct cprof_node_infos *infos,
			   FILE *out)
{
	int64_t total = 0;
	bool first = true;
	fputs(",\n\"samples\":[", out);
	for (uint32_t i = 0; i < report->profile->n_samples; i++) {
		if (!is_shown(report, i))
			continue;
		fputs(first ? "\n" : ",\n", out);
		first = false;
		put_stack(report, infos, i, out);
	}
	fputs("],\n\"weights\":[", out);
	first = true;
	for (uint32_t i = 0; i < report->profile->n_samples; i++) {
		if (!is_shown(report, i))
			continue;
		int64_t value = cprof_report_value(report, i);
		fprintf(out, "%s%" PRId64, first ? "" : ",", value);
		first = false;
		total = cprof_measure_add(total, value);
	}
	fputc(']', out);
	return total;
}

static struct cprof_error *write_speedscope(struct cprof_report *report, FILE *out)
{
	struct cprof_node_infos infos = { 0 };
	struct cprof_error *err = cprof_node_infos_init(&infos, report);
	if (err) {
		cprof_node_infos_deinit(&infos);
		return err;
	}
	const char *title = cprof_report_title(report);
	fputs("{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\n"
	      "\"exporter\":\"cprof " CPROF_VERSION "\",\n\"name\":",
	      out);
	cprof_json_put_string(out, *title ? title : "profile");
	fputs(",\n\"shared\":{\"frames\":[", out);
	put_frames(report, &infos, out);
	fputs("]},\n\"profiles\":[{\"type\":\"sampled\",\"name\":", out);
	cprof_json_put_string(out, report->type_name);
	fprintf(out, ",\"unit\":\"%s\",\"startValue\":0", speedscope_unit(report->sample_unit));
	int64_t total = put_samples(report, &infos, out);
	fprintf(out, ",\n\"endValue\":%" PRId64 "}]}\n", total);
	cprof_node_infos_deinit(&infos);
	return NULL;
}

const struct cprof_format cprof_format_speedscope = {
	.name = "speedscope",
	.help = "a file for speedscope.app",
	.suffix = "speedscope.json",
	.flags = CPROF_FORMAT_NO_TRIM | CPROF_FORMAT_TREE | CPROF_FORMAT_BINARY |
		 CPROF_FORMAT_LINES | CPROF_FORMAT_ANY_STRING,
	.write = write_speedscope,
};
