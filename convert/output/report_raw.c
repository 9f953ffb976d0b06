/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/report_raw.c - raw: everything that is in a profile, as text.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "convert/report/report.h"

/* "2026-11-23 05:03:38.123 +0000 UTC": no zeroes at the end of the fraction. */
static void put_time(int64_t time_ns, FILE *out)
{
	int64_t seconds = time_ns / 1000000000, rest = time_ns % 1000000000;
	if (rest < 0) {
		rest += 1000000000;
		seconds--;
	}
	time_t at = (time_t)seconds;
	struct tm local = { 0 };
	char text[64] = "", zone[64] = "", fraction[16] = "";
	localtime_r(&at, &local);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &local);
	strftime(zone, sizeof(zone), "%z %Z", &local);
	if (rest) {
		snprintf(fraction, sizeof(fraction), ".%09" PRId64, rest);
		for (size_t n = strlen(fraction); fraction[n - 1] == '0'; n--)
			fraction[n - 1] = 0;
	}
	fprintf(out, "Time: %s%s %s\n", text, fraction, zone);
}

/* A fraction like Go's durations have: no zeroes at its end, no point without digits. */
static void put_fraction(char *text, size_t room, uint64_t value, uint64_t unit, const char *name)
{
	int digits = 0;
	uint64_t rest = value % unit;
	for (uint64_t u = unit; u > 1; u /= 10)
		digits++;
	size_t n = (size_t)snprintf(text, room, "%" PRIu64, value / unit);
	if (rest) {
		n += (size_t)snprintf(text + n, room - n, ".%0*" PRIu64, digits, rest);
		while (text[n - 1] == '0')
			text[--n] = 0;
	}
	snprintf(text + n, room - n, "%s", name);
}

/* A duration as Go writes it ("1h2m3.5s", "150ms"), cut to four characters as pprof does. */
static void put_duration(int64_t duration_ns, FILE *out)
{
	char text[64];
	uint64_t ns = duration_ns < 0 ? 0 - (uint64_t)duration_ns : (uint64_t)duration_ns;
	size_t n = (size_t)snprintf(text, sizeof(text), "%s", duration_ns < 0 ? "-" : "");
	if (ns < 1000)
		snprintf(text + n, sizeof(text) - n, "%" PRIu64 "ns", ns);
	else if (ns < 1000000)
		put_fraction(text + n, sizeof(text) - n, ns, 1000, "\xc2\xb5s");
	else if (ns < 1000000000)
		put_fraction(text + n, sizeof(text) - n, ns, 1000000, "ms");
	else {
		uint64_t minutes = ns / 60000000000u;
		if (minutes >= 60)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%" PRIu64 "h",
					      minutes / 60);
		if (minutes)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%" PRIu64 "m",
					      minutes % 60);
		put_fraction(text + n, sizeof(text) - n, ns % 60000000000u, 1000000000, "s");
	}
	size_t end = 0;
	for (int characters = 0; text[end] && characters < 4; characters++) {
		end++;
		while (((unsigned char)text[end] & 0xc0) == 0x80)
			end++;
	}
	fprintf(out, "Duration: %.*s\n", (int)end, text);
}

static void put_header(const struct cprof_profile *p, FILE *out)
{
	for (uint32_t i = 0; i < p->n_comments; i++)
		fprintf(out, "Comment: %s\n", cprof_profile_text(p, p->comments[i]));
	if (p->doc_url)
		fprintf(out, "Doc: %s\n", cprof_profile_text(p, p->doc_url));
	fprintf(out, "PeriodType: %s %s\n", cprof_profile_text(p, p->period_type.type),
		cprof_profile_text(p, p->period_type.unit));
	fprintf(out, "Period: %" PRId64 "\n", p->period);
	if (p->time_ns)
		put_time(p->time_ns, out);
	if (p->duration_ns)
		put_duration(p->duration_ns, out);
	fputs("Samples:\n", out);
	for (uint32_t i = 0; i < p->n_types; i++) {
		const struct cprof_value_type *type = &p->types[i];
		fprintf(out, "%s%s/%s%s", i ? " " : "", cprof_profile_text(p, type->type),
			cprof_profile_text(p, type->unit),
			type->type == p->default_type ? "[dflt]" : "");
	}
	fputc('\n', out);
}

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "key:[value value]" for the label at `at` and all others of its key. */
static char *label_text(const struct cprof_profile *p, const struct cprof_label *labels, uint32_t n,
			uint32_t at)
{
	struct cprof_buffer text = { 0 };
	bool units = false;
	for (uint32_t i = at; i < n; i++)
		units = units || (labels[at].is_num && labels[i].is_num && labels[i].text &&
				  labels[i].key == labels[at].key);
	cprof_buffer_printf(&text, "%s:[", cprof_profile_text(p, labels[at].key));
	for (uint32_t i = at; i < n; i++) {
		if (labels[i].key != labels[at].key || labels[i].is_num != labels[at].is_num)
			continue;
		cprof_buffer_puts(&text, i == at ? "" : " ");
		const char *own = cprof_profile_text(p, labels[i].text);
		if (!labels[i].is_num)
			cprof_buffer_puts(&text, own);
		else if (units)
			cprof_buffer_printf(&text, "%" PRId64 " %s", labels[i].num, own);
		else
			cprof_buffer_printf(&text, "%" PRId64, labels[i].num);
	}
	cprof_buffer_putc(&text, ']');
	return text.failed ? NULL : (char *)text.data;
}

static struct cprof_error *put_labels(const struct cprof_profile *p,
				      const struct cprof_sample *sample, bool numbers, FILE *out)
{
	const struct cprof_label *labels = p->labels + sample->first_label;
	CPROF_AUTO(free) char **texts = calloc((size_t)sample->n_labels + 1, sizeof(*texts));
	if (!texts)
		return cprof_error_no_memory();
	uint32_t n = 0;
	struct cprof_error *err = NULL;
	for (uint32_t i = 0; !err && i < sample->n_labels; i++) {
		bool first = labels[i].is_num == numbers;
		for (uint32_t j = 0; first && j < i; j++)
			first = labels[j].key != labels[i].key || labels[j].is_num != numbers;
		if (!first)
			continue;
		texts[n] = label_text(p, labels, sample->n_labels, i);
		if (!texts[n++])
			err = cprof_error_no_memory();
	}
	if (n && !err)
		qsort(texts, n, sizeof(*texts), compare_text);
	for (uint32_t i = 0; i < n; i++) {
		if (!err)
			fprintf(out, "%s%s", i ? " " : "                ", texts[i]);
		free(texts[i]);
	}
	if (n && !err)
		fputc('\n', out);
	return err;
}

/* The numbers that the file gave its locations, or its mappings. */
struct ids {
	const uint64_t *ids;
	uint32_t n;
	uint64_t highest; /* what has been added since goes on from there */
};

static struct ids ids_of(const uint64_t *ids, uint32_t n)
{
	struct ids all = { ids, n, 0 };
	for (uint32_t i = 0; i < n; i++)
		all.highest = ids[i] > all.highest ? ids[i] : all.highest;
	return all;
}

static uint64_t id_at(const struct ids *ids, uint32_t index)
{
	return index < ids->n ? ids->ids[index] : ids->highest + (index - ids->n) + 1;
}

static struct cprof_error *put_samples(const struct cprof_profile *p, FILE *out)
{
	const struct ids locations = ids_of(p->location_ids, p->n_location_ids);
	for (uint32_t i = 0; i < p->n_samples; i++) {
		const struct cprof_sample *sample = &p->samples[i];
		for (uint32_t t = 0; t < p->n_types; t++)
			fprintf(out, " %10" PRId64, p->values[(size_t)i * p->n_types + t]);
		fputs(": ", out);
		for (uint32_t j = 0; j < sample->n_locations; j++)
			fprintf(out, "%" PRIu64 " ",
				id_at(&locations, p->stacks[sample->first_location + j]));
		fputc('\n', out);
		struct cprof_error *err = put_labels(p, sample, false, out);
		if (!err)
			err = put_labels(p, sample, true, out);
		if (err)
			return err;
	}
	return NULL;
}

static void put_locations(const struct cprof_profile *p, FILE *out)
{
	const struct ids locations = ids_of(p->location_ids, p->n_location_ids);
	const struct ids mappings = ids_of(p->mapping_ids, p->n_mapping_ids);
	fputs("Locations\n", out);
	for (uint32_t i = 0; i < p->n_locations; i++) {
		const struct cprof_location *location = &p->locations[i];
		fprintf(out, "%6" PRIu64 ": 0x%" PRIx64 " ", id_at(&locations, i),
			location->address);
		if (location->mapping)
			fprintf(out, "M=%" PRIu64 " ", id_at(&mappings, location->mapping - 1));
		if (location->is_folded)
			fputs("[F] ", out);
		for (uint32_t j = 0; j < location->n_lines; j++) {
			const struct cprof_line *line = &p->lines[location->first_line + j];
			const struct cprof_function *f = &p->functions[line->function];
			fprintf(out, "%s%s %s:%" PRId64 ":%" PRId64 " s=%" PRId64,
				j ? "\n             " : "", cprof_profile_text(p, f->name),
				cprof_profile_text(p, f->filename), line->line, line->column,
				f->start_line);
			if (f->name != f->system_name)
				fprintf(out, "(%s)", cprof_profile_text(p, f->system_name));
		}
		fputc('\n', out);
	}
}

static void put_mappings(const struct cprof_profile *p, FILE *out)
{
	const struct ids mappings = ids_of(p->mapping_ids, p->n_mapping_ids);
	fputs("Mappings\n", out);
	for (uint32_t i = 0; i < p->n_mappings; i++) {
		const struct cprof_mapping *m = &p->mappings[i];
		fprintf(out,
			"%" PRIu64 ": 0x%" PRIx64 "/0x%" PRIx64 "/0x%" PRIx64 " %s %s %s%s%s%s\n",
			id_at(&mappings, i), m->start, m->limit, m->offset,
			cprof_profile_text(p, m->filename), cprof_profile_text(p, m->build_id),
			m->has_functions ? "[FN]" : "", m->has_filenames ? "[FL]" : "",
			m->has_line_numbers ? "[LN]" : "", m->has_inline_frames ? "[IN]" : "");
	}
}

static struct cprof_error *write_raw(struct cprof_report *report, FILE *out)
{
	const struct cprof_profile *p = report->profile;
	put_header(p, out);
	struct cprof_error *err = put_samples(p, out);
	if (err)
		return err;
	put_locations(p, out);
	put_mappings(p, out);
	return NULL;
}

const struct cprof_format cprof_format_raw = {
	.name = "raw",
	.help = "everything in the profile, as text",
	.suffix = "txt",
	.flags = CPROF_FORMAT_NO_TRIM | CPROF_FORMAT_ADDRESSES,
	.write = write_raw,
};
