/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/report_speedscope.c - speedscope: the file format of speedscope.app, one weighted stack a sample.
 *
 * Where samples say when they were, a profile for each thread follows the one of all: in the order of time, with an empty stack for as long as nothing is
 * known, if the value is a time. Other values have no length, so only their order is told.
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
#include "convert/output/timed_samples.h"

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

/* ---- a thread in the order of time ---- */

/* What unit a nanosecond is of the value; 0: it is no time. */
static double units_per_ns(const struct cprof_report *report)
{
	if (!cprof_measure_compatible(report->sample_unit, "nanoseconds"))
		return 0;
	return 1e9 / cprof_measure_scale(1000000000, report->sample_unit, "nanoseconds").value;
}

/* Rows of one thread: index of a sample, or UINT32_MAX for nothing; and its weight. Room for 2n. Their number is returned. */
static uint32_t make_rows(const struct cprof_report *report,
			  const struct cprof_timed_samples *timed,
			  const struct cprof_timed_thread *thread, uint32_t *samples,
			  int64_t *weights)
{
	const double unit = units_per_ns(report);
	uint32_t n = 0;
	int64_t at = 0;
	for (uint32_t i = 0; i < thread->n; i++) {
		const struct cprof_timed_sample *sample = &timed->all[thread->first + i];
		const int64_t begin = cprof_measure_truncate(sample->begin_ns * unit);
		if (!is_shown(report, sample->sample))
			continue;
		if (begin > at) {
			samples[n] = UINT32_MAX;
			weights[n++] = begin - at;
			at = begin;
		}
		samples[n] = sample->sample;
		weights[n] = cprof_report_value(report, sample->sample);
		at = cprof_measure_add(at, weights[n++]);
	}
	return n;
}

static void put_thread(const struct cprof_report *report, const struct cprof_node_infos *infos,
		       const struct cprof_timed_thread *thread, const uint32_t *samples,
		       const int64_t *weights, uint32_t n, FILE *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer name = { 0 };
	int64_t end = 0;
	cprof_timed_samples_thread_name(report->profile, thread, &name);
	fputs(",\n{\"type\":\"sampled\",\"name\":", out);
	cprof_json_put_string(out, cprof_buffer_text(&name));
	fprintf(out, ",\"unit\":\"%s\",\"startValue\":0,\n\"samples\":[",
		speedscope_unit(report->sample_unit));
	for (uint32_t i = 0; i < n; i++) {
		fputs(i ? ",\n" : "\n", out);
		if (samples[i] == UINT32_MAX)
			fputs("[]", out);
		else
			put_stack(report, infos, samples[i], out);
	}
	fputs("],\n\"weights\":[", out);
	for (uint32_t i = 0; i < n; i++) {
		fprintf(out, "%s%" PRId64, i ? "," : "", weights[i]);
		end = cprof_measure_add(end, weights[i]);
	}
	fprintf(out, "],\n\"endValue\":%" PRId64 "}", end);
}

static struct cprof_error *put_threads(const struct cprof_report *report,
				       const struct cprof_node_infos *infos, FILE *out)
{
	struct cprof_timed_samples timed;
	struct cprof_error *err = cprof_timed_samples_init(&timed, report);
	CPROF_AUTO(free) uint32_t *samples = calloc(2 * (size_t)timed.n + 1, sizeof(*samples));
	CPROF_AUTO(free) int64_t *weights = calloc(2 * (size_t)timed.n + 1, sizeof(*weights));
	if (!err && (!samples || !weights))
		err = cprof_error_no_memory();
	for (uint32_t i = 0; !err && i < timed.n_threads; i++) {
		const uint32_t n = make_rows(report, &timed, &timed.threads[i], samples, weights);
		put_thread(report, infos, &timed.threads[i], samples, weights, n, out);
	}
	cprof_timed_samples_deinit(&timed);
	return err;
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
	fprintf(out, ",\n\"endValue\":%" PRId64 "}", total);
	err = put_threads(report, &infos, out);
	fputs("]}\n", out);
	cprof_node_infos_deinit(&infos);
	return err;
}

const struct cprof_format cprof_format_speedscope = {
	.name = "speedscope",
	.help = "a file for speedscope.app",
	.suffix = "speedscope.json",
	.flags = CPROF_FORMAT_NO_TRIM | CPROF_FORMAT_TREE | CPROF_FORMAT_BINARY |
		 CPROF_FORMAT_LINES | CPROF_FORMAT_ANY_STRING | CPROF_FORMAT_TIMES,
	.write = write_speedscope,
};
