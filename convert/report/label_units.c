#include "convert/report/label_units.h"

#include <stdlib.h>
#include <string.h>

#define MAX_CLASHES 64 /* a warning need not list more */

struct clash {
	uint32_t key, unit;
};

static int compare_clashes(const void *a, const void *b, void *profile)
{
	const struct clash *x = a, *y = b;
	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return strcmp(cprof_profile_text(profile, x->unit), cprof_profile_text(profile, y->unit));
}

static void note_clash(struct clash *clashes, size_t *n, struct clash clash)
{
	for (size_t i = 0; i < *n; i++) {
		if (clashes[i].key == clash.key && clashes[i].unit == clash.unit)
			return;
	}
	if (*n < MAX_CLASHES)
		clashes[(*n)++] = clash;
}

static void warn_clashes(struct cprof_report *report, struct clash *clashes, size_t n)
{
	const struct cprof_profile *p = report->profile;
	struct cprof_buffer *out = &report->warnings;
	if (n)
		qsort_r(clashes, n, sizeof(*clashes), compare_clashes, report->profile);
	for (size_t i = 0; i < n; i++) {
		uint32_t key = clashes[i].key;
		bool first = i == 0 || clashes[i - 1].key != key;
		if (first)
			cprof_buffer_printf(out,
					    "For tag %s used unit %s, also encountered unit(s) ",
					    cprof_profile_text(p, key),
					    cprof_profile_text(p, report->label_units[key]));
		cprof_buffer_printf(out, "%s%s", first ? "" : ", ",
				    cprof_profile_text(p, clashes[i].unit));
		if (i + 1 == n || clashes[i + 1].key != key)
			cprof_buffer_putc(out, '\n');
	}
}

static uint32_t guess(const struct cprof_profile *p, uint32_t key, uint32_t bytes)
{
	const char *text = cprof_profile_text(p, key);
	return strcmp(text, "alignment") == 0 || strcmp(text, "request") == 0 ? bytes : key;
}

struct cprof_error *cprof_label_units_find(struct cprof_report *report)
{
	struct cprof_profile *p = report->profile;
	struct clash clashes[MAX_CLASHES];
	size_t n_clashes = 0;
	uint32_t bytes;
	struct cprof_error *err = cprof_profile_string(p, "bytes", &bytes);
	if (err)
		return err;
	report->n_label_units = p->strings.len;
	report->label_units = calloc(p->strings.len, sizeof(*report->label_units));
	if (!report->label_units)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < p->n_samples; i++) {
		const struct cprof_sample *sample = &p->samples[i];
		for (uint32_t j = 0; j < sample->n_labels; j++) {
			const struct cprof_label *label = &p->labels[sample->first_label + j];
			if (!label->is_num || !label->text)
				continue;
			uint32_t *unit = &report->label_units[label->key];
			if (!*unit)
				*unit = label->text;
			else if (*unit != label->text)
				note_clash(clashes, &n_clashes,
					   (struct clash){ label->key, label->text });
		}
	}
	warn_clashes(report, clashes, n_clashes);
	for (uint32_t i = 0; i < report->n_label_units; i++) {
		if (!report->label_units[i])
			report->label_units[i] = guess(p, i, bytes);
	}
	return NULL;
}

const char *cprof_report_label_unit(const struct cprof_report *report, uint32_t key)
{
	uint32_t unit = key < report->n_label_units ? report->label_units[key] : key;
	return cprof_profile_text(report->profile, unit);
}
