/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/report_traces.c - traces: every sample with its labels and its stack, one after the other.
 *
 * Streams: what is kept is one name per distinct frame, whatever the number of samples.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/printable.h"
#include "convert/graph/node_info.h"
#include "convert/report/report.h"

static const char separator[] =
	"-----------+-------------------------------------------------------\n";

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool first_of_key(const struct cprof_label *labels, uint32_t at)
{
	for (uint32_t i = 0; i < at; i++) {
		if (labels[i].is_num == labels[at].is_num && labels[i].key == labels[at].key)
			return false;
	}
	return true;
}

/* "      key:  value value\n" of the label at `at` and the others of its key. */
static char *label_line(const struct cprof_report *report, const struct cprof_label *labels,
			uint32_t n, uint32_t at)
{
	const struct cprof_profile *p = report->profile;
	struct cprof_buffer line = { 0 };
	const char *key = cprof_profile_text(p, labels[at].key);
	cprof_buffer_printf(&line, "%*s: ", cprof_utf8_width(key, 10), key);
	for (uint32_t i = at; i < n; i++) {
		if (labels[i].is_num != labels[at].is_num || labels[i].key != labels[at].key)
			continue;
		cprof_buffer_putc(&line, ' ');
		if (labels[i].is_num)
			cprof_measure_label(
				&line, labels[i].num,
				cprof_label_units_get(&report->label_units, labels[i].key), "auto");
		else
			cprof_buffer_puts(&line, cprof_profile_text(p, labels[i].text));
	}
	cprof_buffer_putc(&line, '\n');
	return line.failed ? NULL : (char *)line.data;
}

static struct cprof_error *put_labels(const struct cprof_report *report,
				      const struct cprof_sample *sample, bool numbers, FILE *out)
{
	const struct cprof_label *labels = report->profile->labels + sample->first_label;
	CPROF_AUTO(free) char **lines = calloc((size_t)sample->n_labels + 1, sizeof(*lines));
	if (!lines)
		return cprof_error_no_memory();
	uint32_t n = 0;
	struct cprof_error *err = NULL;
	for (uint32_t i = 0; !err && i < sample->n_labels; i++) {
		if (labels[i].is_num != numbers || !first_of_key(labels, i))
			continue;
		lines[n] = label_line(report, labels, sample->n_labels, i);
		if (!lines[n++])
			err = cprof_error_no_memory();
	}
	if (!err && n)
		qsort(lines, n, sizeof(*lines), compare_text);
	for (uint32_t i = 0; i < n; i++) {
		if (!err)
			fputs(lines[i], out);
		free(lines[i]);
	}
	return err;
}

/* The name of each info, ended by a newline; made once. */
struct names {
	const struct cprof_report *report;
	struct cprof_node_infos *infos;
	char **text; /* by info */
	size_t *length;
};

static struct cprof_error *make_name(struct names *names, uint32_t index)
{
	const struct cprof_node_info *info = &names->infos->all[index];
	const struct cprof_profile *p = names->report->profile;
	struct cprof_buffer text = { 0 };
	cprof_node_infos_compose(names->infos, info, cprof_profile_text(p, info->name),
				 cprof_profile_text(p, info->file), " ", &text);
	if (text.failed) {
		cprof_buffer_deinit(&text);
		return cprof_error_no_memory();
	}
	names->text[index] = (char *)text.data;
	names->length[index] = text.len;
	return NULL;
}

static struct cprof_error *put_stack(struct names *names, const struct cprof_sample *sample,
				     const char *value, FILE *out)
{
	static const char indent[] = "             ", inlined[] = " (inline)\n";
	const struct cprof_node_infos *infos = names->infos;
	const struct cprof_profile *p = names->report->profile;
	fprintf(out, "%10s   ", value);
	bool first = true;
	for (uint32_t i = 0; i < sample->n_locations; i++) {
		uint32_t location = p->stacks[sample->first_location + i];
		uint32_t end = infos->slot_of[location + 1];
		for (uint32_t slot = infos->slot_of[location]; slot < end; slot++) {
			uint32_t info = infos->slots[slot];
			struct cprof_error *err = names->text[info] ? NULL : make_name(names, info);
			if (err)
				return err;
			if (!first)
				fwrite(indent, 1, sizeof(indent) - 1, out);
			first = false;
			fwrite(names->text[info], 1, names->length[info], out);
			if (slot + 1 < end)
				fwrite(inlined, 1, sizeof(inlined) - 1, out);
			else
				putc_unlocked('\n', out);
		}
	}
	return NULL;
}

static struct cprof_error *put_sample(struct names *names, uint32_t index, FILE *out)
{
	const struct cprof_report *report = names->report;
	const struct cprof_sample *sample = &report->profile->samples[index];
	if (!sample->n_locations)
		return NULL;
	fputs(separator, out);
	struct cprof_error *err = NULL;
	if (sample->n_labels)
		err = put_labels(report, sample, false, out);
	if (!err && sample->n_labels)
		err = put_labels(report, sample, true, out);
	if (err)
		return err;
	int64_t value = cprof_report_value(report, index);
	int64_t divisor = cprof_report_divisor(report, index);
	char text[CPROF_MEASURE_LABEL_MAX];
	return put_stack(
		names, sample,
		cprof_report_format_wide(report, cprof_measure_divide(value, divisor), 10, text),
		out);
}

static struct cprof_error *put_samples(struct names *names, FILE *out)
{
	uint32_t n = names->infos->n;
	names->text = calloc((size_t)n + 1, sizeof(*names->text));
	names->length = calloc((size_t)n + 1, sizeof(*names->length));
	struct cprof_error *err = names->text && names->length ? NULL : cprof_error_no_memory();
	for (uint32_t i = 0; !err && i < names->report->profile->n_samples; i++)
		err = put_sample(names, i, out);
	for (uint32_t i = 0; names->text && i < n; i++)
		free(names->text[i]);
	free(names->text);
	free(names->length);
	return err;
}

static struct cprof_error *write_traces(struct cprof_report *report, FILE *out)
{
	struct cprof_node_infos infos;
	struct cprof_error *err = cprof_node_infos_init(&infos, report);
	if (!err) {
		CPROF_AUTO(buffer) struct cprof_buffer labels = { 0 };
		cprof_report_profile_labels(report, &labels);
		fputs(labels.len ? cprof_buffer_text(&labels) : "\n", out);
		struct names names = { .report = report, .infos = &infos };
		err = put_samples(&names, out);
	}
	if (!err)
		fputs(separator, out);
	cprof_node_infos_deinit(&infos);
	return err;
}

const struct cprof_format cprof_format_traces = {
	.name = "traces",
	.help = "every sample with its labels and stack",
	.suffix = "txt",
	.flags = CPROF_FORMAT_WHOLE_PATHS,
	.write = write_traces,
};
