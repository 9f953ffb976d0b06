/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/report/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/printable.h"
#include "base/printable_text.h"
#include "convert/report/filter.h"
#include "convert/report/granularity.h"
#include "convert/report/tag_frames.h"

static void bend_config(struct cprof_config *config, unsigned flags)
{
	if (config->nodecount == -1)
		config->nodecount = flags & CPROF_FORMAT_ALL_NODES ? 0 : 80;
	if (flags & CPROF_FORMAT_ADDRESSES)
		config->granularity = CPROF_BY_ADDRESS;
	if (flags & CPROF_FORMAT_LINES)
		config->granularity = CPROF_BY_LINE;
	if (flags & CPROF_FORMAT_INLINES)
		config->noinlines = false;
	if (flags & CPROF_FORMAT_NO_INLINES)
		config->noinlines = true;
	if ((flags & CPROF_FORMAT_NO_TRIM) || !config->trim) {
		config->nodecount = 0;
		config->nodefraction = config->edgefraction = 0;
	}
}

static struct cprof_error *no_such_type(const struct cprof_profile *p, const char *wanted)
{
	struct cprof_buffer names = { 0 };
	for (uint32_t i = 0; i < p->n_types; i++)
		cprof_buffer_printf(&names, "%s%s", i ? " " : "",
				    cprof_profile_text(p, p->types[i].type));
	struct cprof_error *err =
		cprof_error_new(CPROF_ERR_USAGE, "sample_index \"%s\" must be one of: [%s]", wanted,
				cprof_buffer_text(&names));
	cprof_buffer_deinit(&names);
	return err;
}

static struct cprof_error *find_type(const struct cprof_profile *p, const char *wanted,
				     uint32_t *ret)
{
	if (p->n_types == 0)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "profile has no samples");
	*ret = cprof_profile_default_type(p);
	if (!*wanted)
		return NULL;
	char *end;
	errno = 0;
	long long number = strtoll(wanted, &end, 10);
	if (!*end && !errno) {
		if (number < 0 || number >= p->n_types)
			return cprof_error_new(CPROF_ERR_USAGE,
					       "sample_index %s is outside the range [0..%u]",
					       wanted, p->n_types - 1);
		*ret = (uint32_t)number;
		return NULL;
	}
	/* Old heap profiles say "space" and "objects". */
	const char *old = strncmp(wanted, "inuse_", 6) == 0 ? wanted + 6 : wanted;
	for (uint32_t i = 0; i < p->n_types; i++) {
		const char *name = cprof_profile_text(p, p->types[i].type);
		if (strcmp(name, wanted) == 0 || strcmp(name, old) == 0) {
			*ret = i;
			return NULL;
		}
	}
	return no_such_type(p, wanted);
}

/* Whether a sample belongs to the base of a -diff_base. */
static bool in_diff_base(const struct cprof_profile *p, const struct cprof_sample *sample)
{
	for (uint32_t i = 0; i < sample->n_labels; i++) {
		const struct cprof_label *label = &p->labels[sample->first_label + i];
		if (!label->is_num &&
		    strcmp(cprof_profile_text(p, label->key), "pprof::base") == 0 &&
		    strcmp(cprof_profile_text(p, label->text), "true") == 0)
			return true;
	}
	return false;
}

/* The sum of absolute values; of the base's alone where there is a base to compare with. */
static int64_t compute_total(const struct cprof_report *report)
{
	const struct cprof_profile *p = report->profile;
	int64_t total = 0, divisor = 0, base_total = 0, base_divisor = 0;
	for (uint32_t i = 0; i < p->n_samples; i++) {
		int64_t value = cprof_measure_abs(cprof_report_value(report, i));
		int64_t div = cprof_report_divisor(report, i);
		total = cprof_measure_add(total, value);
		divisor = cprof_measure_add(divisor, div);
		if (in_diff_base(p, &p->samples[i])) {
			base_total = cprof_measure_add(base_total, value);
			base_divisor = cprof_measure_add(base_divisor, div);
		}
	}
	if (base_total > 0) {
		total = base_total;
		divisor = base_divisor;
	}
	return cprof_measure_divide(total, divisor);
}

static struct cprof_error *compute_totals(struct cprof_report *report)
{
	report->total = compute_total(report);
	if (!(report->format->flags & CPROF_FORMAT_ALL_TYPES))
		return NULL;
	uint32_t shown = report->type;
	report->totals = calloc((size_t)report->profile->n_types + 1, sizeof(*report->totals));
	if (!report->totals)
		return cprof_error_no_memory();
	for (report->type = 0; report->type < report->profile->n_types; report->type++)
		report->totals[report->type] = compute_total(report);
	report->type = shown;
	return NULL;
}

static struct cprof_error *filter(struct cprof_report *report)
{
	return cprof_filter_apply(report->profile, &report->config, &report->label_units,
				  &report->warnings);
}

static struct cprof_error *choose_value(struct cprof_report *report)
{
	struct cprof_profile *p = report->profile;
	struct cprof_error *err = find_type(p, report->config.sample_index, &report->type);
	if (err)
		return err;
	if (report->config.divide_by == 0)
		return cprof_error_new(CPROF_ERR_USAGE, "zero divisor specified");
	report->type_name = cprof_profile_text(p, p->types[report->type].type);
	report->sample_unit = cprof_profile_text(p, p->types[report->type].unit);
	report->output_unit = report->config.unit;
	report->ratio = 1 / report->config.divide_by;
	return NULL;
}

static struct cprof_error *prepare(struct cprof_report *report, const char *argument)
{
	struct cprof_error *err =
		cprof_label_units_init(&report->label_units, report->profile, &report->warnings);
	if (!err)
		err = cprof_tag_frames_add(report->profile, &report->config, &report->warnings);
	bool relative = report->config.relative_percentages;
	if (!err && relative)
		err = filter(report);
	if (!err)
		err = choose_value(report);
	if (!err && argument) {
		err = cprof_regex_new(argument, &report->symbol);
		report->symbol_text = report->symbol ? cprof_regex_pattern(report->symbol) : NULL;
		if (err)
			err = cprof_error_wrap(err, "parsing argument regexp %s", argument);
	}
	if (err)
		return err;
	err = compute_totals(report);
	if (!err && !relative)
		err = filter(report);
	if (!err && report->format->flags & CPROF_FORMAT_PLACES)
		err = cprof_source_places_new(report->profile, &report->places);
	if (!err)
		cprof_granularity_apply(report->profile, &report->config);
	return err;
}

struct cprof_error *cprof_report_new(struct cprof_profile *profile,
				     const struct cprof_format *format, const char *argument,
				     const struct cprof_config *config,
				     struct cprof_report **ret_report)
{
	struct cprof_report *report = calloc(1, sizeof(*report));
	if (!report)
		return cprof_error_no_memory();
	report->profile = profile;
	report->format = format;
	report->config = *config;
	bend_config(&report->config, format->flags);
	struct cprof_error *err = NULL;
	if (!(format->flags & CPROF_FORMAT_ANY_STRING))
		err = cprof_profile_make_printable(profile);
	if (!err)
		err = prepare(report, argument);
	if (err) {
		cprof_report_free(report);
		return err;
	}
	*ret_report = report;
	return NULL;
}

void cprof_report_free(struct cprof_report *report)
{
	if (!report)
		return;
	free(report->totals);
	free(report->places);
	cprof_regex_free(report->symbol);
	cprof_label_units_deinit(&report->label_units);
	cprof_buffer_deinit(&report->warnings);
	free(report);
}

struct cprof_error *cprof_report_write(struct cprof_report *report, FILE *out)
{
	CPROF_AUTO(fclose) FILE *fit = NULL;
	if (!(report->format->flags & CPROF_FORMAT_ANY_STRING)) {
		fit = cprof_printable_open(out);
		if (!fit)
			return cprof_error_os(errno, "open a stream");
	}
	struct cprof_error *err = report->format->write(report, fit ? fit : out);
	if (!err && fit && fflush(fit) != 0)
		err = cprof_error_os(errno, "write the %s report", report->format->name);
	if (!err)
		err = cprof_regex_error(report->symbol);
	if (!err && (fflush(out) != 0 || ferror(out)))
		err = cprof_error_os(errno, "write the %s report", report->format->name);
	return err;
}

const char *cprof_report_format(const struct cprof_report *report, int64_t value, char *text)
{
	if (report->ratio > 0 && report->ratio != 1)
		value = cprof_measure_truncate((double)value * report->ratio);
	return cprof_measure_label_text(text, value, report->sample_unit, report->output_unit);
}

const char *cprof_report_format_wide(const struct cprof_report *report, int64_t value,
				     unsigned columns, char *text)
{
	cprof_report_format(report, value, text);
	size_t n = strlen(text), characters = cprof_utf8_count(text);
	size_t pad = characters < columns ? columns - characters : 0;
	if (n + pad >= CPROF_MEASURE_LABEL_MAX)
		return text;
	memmove(text + pad, text, n + 1);
	memset(text, ' ', pad);
	return text;
}

void cprof_report_type_label(const struct cprof_report *report, struct cprof_buffer *out)
{
	cprof_buffer_printf(out, "%s%s", report->config.mean ? "mean_" : "", report->type_name);
}

const char *cprof_report_title(const struct cprof_report *report)
{
	const struct cprof_profile *p = report->profile;
	if (!p->n_mappings || !p->mappings[0].filename)
		return "";
	return cprof_path_base(cprof_profile_text(p, p->mappings[0].filename));
}

static void put_time(const struct cprof_profile *p, struct cprof_buffer *out)
{
	time_t seconds = (time_t)(p->time_ns / 1000000000 - (p->time_ns % 1000000000 < 0));
	struct tm local;
	char text[64] = "";
	if (localtime_r(&seconds, &local))
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %Z", &local);
	cprof_buffer_printf(out, "Time: %s\n", text);
}

static void put_duration(const struct cprof_report *report, struct cprof_buffer *out)
{
	char text[CPROF_MEASURE_LABEL_MAX];
	int64_t duration = report->profile->duration_ns;
	cprof_buffer_printf(out, "Duration: %s, ",
			    cprof_measure_label_text(text, duration, "nanoseconds", "auto"));
	cprof_buffer_printf(out, "Total samples = %s ",
			    cprof_report_format(report, report->total, text));
	struct cprof_measure ns =
		cprof_measure_scale(report->total, report->sample_unit, "nanoseconds");
	if (strcmp(ns.unit, "ns") == 0 && ns.value != 0)
		cprof_buffer_printf(
			out, "(%s)",
			cprof_measure_percentage(text, cprof_measure_truncate(ns.value), duration));
	cprof_buffer_putc(out, '\n');
}

void cprof_report_profile_labels(const struct cprof_report *report, struct cprof_buffer *out)
{
	const struct cprof_profile *p = report->profile;
	if (p->n_mappings && p->mappings[0].filename)
		cprof_buffer_printf(out, "File: %s\n", cprof_report_title(report));
	if (p->n_mappings && p->mappings[0].build_id)
		cprof_buffer_printf(out, "Build ID: %s\n",
				    cprof_profile_text(p, p->mappings[0].build_id));
	for (uint32_t i = 0; i < p->n_comments; i++) {
		const char *comment = cprof_profile_text(p, p->comments[i]);
		if (*comment != '#')
			cprof_buffer_printf(out, "%s\n", comment);
	}
	if (*report->type_name || report->config.mean) {
		cprof_buffer_puts(out, "Type: ");
		cprof_report_type_label(report, out);
		cprof_buffer_putc(out, '\n');
	}
	const char *url = cprof_profile_text(p, p->doc_url);
	if (strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0)
		cprof_buffer_printf(out, "Doc: %s\n", url);
	if (p->time_ns)
		put_time(p, out);
	if (p->duration_ns)
		put_duration(report, out);
}
