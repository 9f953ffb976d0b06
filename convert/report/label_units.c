/* SPDX-License-Identifier: Apache-2.0 */
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

static void warn_clashes(const struct cprof_label_units *units, struct clash *clashes, size_t n,
			 struct cprof_buffer *out)
{
	const struct cprof_profile *p = units->profile;
	if (n)
		qsort_r(clashes, n, sizeof(*clashes), compare_clashes, (void *)(uintptr_t)p);
	for (size_t i = 0; i < n; i++) {
		uint32_t key = clashes[i].key;
		bool first = i == 0 || clashes[i - 1].key != key;
		if (first)
			cprof_buffer_printf(out,
					    "For tag %s used unit %s, also encountered unit(s) ",
					    cprof_profile_text(p, key),
					    cprof_profile_text(p, units->unit_of[key]));
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

struct cprof_error *cprof_label_units_init(struct cprof_label_units *units, struct cprof_profile *p,
					   struct cprof_buffer *warnings)
{
	struct clash clashes[MAX_CLASHES];
	size_t n_clashes = 0;
	uint32_t bytes;
	*units = (struct cprof_label_units){ .profile = p };
	struct cprof_error *err = cprof_profile_string(p, "bytes", &bytes);
	if (err)
		return err;
	units->n = p->strings.len;
	units->unit_of = calloc(units->n, sizeof(*units->unit_of));
	if (!units->unit_of)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < p->n_samples; i++) {
		const struct cprof_sample *sample = &p->samples[i];
		for (uint32_t j = 0; j < sample->n_labels; j++) {
			const struct cprof_label *label = &p->labels[sample->first_label + j];
			if (!label->is_num || !label->text)
				continue;
			uint32_t *unit = &units->unit_of[label->key];
			if (!*unit)
				*unit = label->text;
			else if (*unit != label->text)
				note_clash(clashes, &n_clashes,
					   (struct clash){ label->key, label->text });
		}
	}
	warn_clashes(units, clashes, n_clashes, warnings);
	for (uint32_t i = 0; i < units->n; i++) {
		if (!units->unit_of[i])
			units->unit_of[i] = guess(p, i, bytes);
	}
	return NULL;
}

void cprof_label_units_deinit(struct cprof_label_units *units)
{
	free(units->unit_of);
	*units = (struct cprof_label_units){ 0 };
}

const char *cprof_label_units_get(const struct cprof_label_units *units, uint32_t key)
{
	uint32_t unit = key < units->n ? units->unit_of[key] : key;
	return cprof_profile_text(units->profile, unit);
}
