/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/profile/profile_printable.c - a profile whose strings may be shown on a terminal and put into lines of text.
 */
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/printable.h"
#include "base/printable_text.h"
#include "cprof/profile.h"

/* numbers[i]: of the string that takes the place of string i. */
static void renumber(const uint32_t *numbers, uint32_t *string)
{
	*string = numbers[*string];
}

static void renumber_names(const uint32_t *numbers, struct cprof_profile *p)
{
	for (uint32_t i = 0; i < p->n_mappings; i++) {
		renumber(numbers, &p->mappings[i].filename);
		renumber(numbers, &p->mappings[i].build_id);
	}
	for (uint32_t i = 0; i < p->n_functions; i++) {
		renumber(numbers, &p->functions[i].name);
		renumber(numbers, &p->functions[i].system_name);
		renumber(numbers, &p->functions[i].filename);
	}
	for (uint32_t i = 0; i < p->n_labels; i++) {
		renumber(numbers, &p->labels[i].key);
		renumber(numbers, &p->labels[i].text);
	}
}

static void renumber_header(const uint32_t *numbers, struct cprof_profile *p)
{
	for (uint32_t i = 0; i < p->n_types; i++) {
		renumber(numbers, &p->types[i].type);
		renumber(numbers, &p->types[i].unit);
	}
	for (uint32_t i = 0; i < p->n_comments; i++)
		renumber(numbers, &p->comments[i]);
	renumber(numbers, &p->drop_frames);
	renumber(numbers, &p->keep_frames);
	renumber(numbers, &p->doc_url);
	renumber(numbers, &p->default_type);
	renumber(numbers, &p->period_type.type);
	renumber(numbers, &p->period_type.unit);
}

static struct cprof_error *fit(struct cprof_profile *p, uint32_t string, uint32_t *ret)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	const struct cprof_intern_entry *entry = &p->strings.entries[string];
	cprof_printable_put(&text, entry->text, entry->len, "");
	struct cprof_error *err = cprof_buffer_error(&text);
	return err ? err : cprof_intern_text(&p->strings, cprof_buffer_text(&text), ret);
}

/* The first string that is not fit; their number where all are. */
static uint32_t first_unfit(const struct cprof_profile *p)
{
	uint32_t i = 0;
	while (i < p->strings.len &&
	       cprof_printable_is(p->strings.entries[i].text, p->strings.entries[i].len))
		i++;
	return i;
}

struct cprof_error *cprof_profile_make_printable(struct cprof_profile *p)
{
	const uint32_t n = p->strings.len, first = first_unfit(p);
	if (first == n)
		return NULL;
	CPROF_AUTO(free) uint32_t *numbers = malloc(n * sizeof(*numbers));
	if (!numbers)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < n; i++) {
		const struct cprof_intern_entry *entry = &p->strings.entries[i];
		numbers[i] = i;
		struct cprof_error *err = i < first || cprof_printable_is(entry->text, entry->len)
						  ? NULL
						  : fit(p, i, &numbers[i]);
		if (err)
			return err;
	}
	renumber_names(numbers, p);
	renumber_header(numbers, p);
	return NULL;
}
