/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/serve/debug_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

enum { ALLOC_OBJECTS, ALLOC_SPACE, INUSE_OBJECTS, INUSE_SPACE };

struct text {
	const struct cprof_profile *profile;
	struct cprof_buffer *out;
};

static const int64_t *values_of(const struct cprof_profile *profile, uint32_t sample)
{
	return &profile->values[(size_t)sample * profile->n_types];
}

/* ---- parts ---- */

/* What a thread that ended while it was looked at has for a stack: Go's reader wants one address at least where it counts. */
#define NO_STACK "0x2"

static bool has_no_stack(const struct cprof_sample *sample, const char *kind)
{
	return !kind && !sample->n_locations;
}

static void put_addresses(const struct text *text, const char *kind,
			  const struct cprof_sample *sample)
{
	if (has_no_stack(sample, kind))
		cprof_buffer_puts(text->out, " " NO_STACK);
	for (uint32_t i = 0; i < sample->n_locations; i++) {
		const uint32_t at = text->profile->stacks[sample->first_location + i];
		cprof_buffer_printf(text->out, " 0x%" PRIx64,
				    text->profile->locations[at].address + 1);
	}
	cprof_buffer_putc(text->out, '\n');
}

static void put_quoted(struct cprof_buffer *out, const char *text)
{
	cprof_buffer_putc(out, '"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			cprof_buffer_putc(out, '\\');
		cprof_buffer_putc(out, *text);
	}
	cprof_buffer_putc(out, '"');
}

/* # labels: {"thread":"worker"} */
static void put_labels(const struct text *text, const struct cprof_sample *sample)
{
	const char *joint = "# labels: {";
	for (uint32_t i = 0; i < sample->n_labels; i++) {
		const struct cprof_label *label = &text->profile->labels[sample->first_label + i];
		if (label->is_num)
			continue;
		cprof_buffer_puts(text->out, joint);
		put_quoted(text->out, cprof_profile_text(text->profile, label->key));
		cprof_buffer_putc(text->out, ':');
		put_quoted(text->out, cprof_profile_text(text->profile, label->text));
		joint = ",";
	}
	if (*joint == ',')
		cprof_buffer_puts(text->out, "}\n");
}

/* #	0x4011a7	main	main.c:12, a line for each function, inlined ones too. */
static void put_names(const struct text *text, const char *kind, const struct cprof_sample *sample)
{
	const struct cprof_profile *profile = text->profile;
	if (has_no_stack(sample, kind))
		cprof_buffer_puts(text->out, "#\t" NO_STACK "\t[no stack]\n");
	for (uint32_t i = 0; i < sample->n_locations; i++) {
		const struct cprof_location *location =
			&profile->locations[profile->stacks[sample->first_location + i]];
		for (uint32_t l = 0; l < location->n_lines; l++) {
			const struct cprof_line *line = &profile->lines[location->first_line + l];
			const struct cprof_function *function = &profile->functions[line->function];
			const char *file = cprof_profile_text(profile, function->filename);
			cprof_buffer_printf(text->out, "#\t0x%" PRIx64 "\t%s",
					    location->address + 1,
					    cprof_profile_text(profile, function->name));
			if (*file)
				cprof_buffer_printf(text->out, "\t%s:%" PRId64, file, line->line);
			cprof_buffer_putc(text->out, '\n');
		}
	}
	cprof_buffer_putc(text->out, '\n');
}

/* ---- the order ---- */

struct place {
	uint32_t sample;
	int64_t weight;
};

static int heavier(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	if (x->weight != y->weight)
		return x->weight < y->weight ? 1 : -1;
	return x->sample < y->sample ? -1 : x->sample > y->sample;
}

static struct place *in_order(const struct cprof_profile *profile, uint32_t type)
{
	struct place *places = calloc((size_t)profile->n_samples + 1, sizeof(*places));
	for (uint32_t i = 0; places && i < profile->n_samples; i++)
		places[i] = (struct place){ i, values_of(profile, i)[type] };
	if (places)
		qsort(places, profile->n_samples, sizeof(*places), heavier);
	return places;
}

static int64_t total(const struct cprof_profile *profile, uint32_t type)
{
	int64_t sum = 0;
	for (uint32_t i = 0; i < profile->n_samples; i++)
		sum += values_of(profile, i)[type];
	return sum;
}

/* ---- the kinds ---- */

static void put_heap_values(struct cprof_buffer *out, const int64_t *v)
{
	cprof_buffer_printf(out, "%" PRId64 ": %" PRId64 " [%" PRId64 ": %" PRId64 "] @",
			    v[INUSE_OBJECTS], v[INUSE_SPACE], v[ALLOC_OBJECTS], v[ALLOC_SPACE]);
}

static void put_head(const struct text *text, const char *kind, const char *name)
{
	const struct cprof_profile *profile = text->profile;
	if (!kind) {
		cprof_buffer_printf(text->out, "%s profile: total %" PRId64 "\n", name,
				    total(profile, 0));
	} else if (strcmp(kind, "heap") == 0) {
		const int64_t sums[] = { total(profile, 0), total(profile, 1), total(profile, 2),
					 total(profile, 3) };
		cprof_buffer_puts(text->out, "heap profile: ");
		put_heap_values(text->out, sums);
		cprof_buffer_puts(text->out, " heapprofile\n");
	} else {
		cprof_buffer_printf(text->out, "--- %s:\ncycles/second=1000000000\n", kind);
		if (strcmp(kind, "mutex") == 0)
			cprof_buffer_puts(text->out, "sampling period=1\n");
	}
}

static void put_values(const struct text *text, const char *kind, const int64_t *v)
{
	if (!kind)
		cprof_buffer_printf(text->out, "%" PRId64 " @", v[0]);
	else if (strcmp(kind, "heap") == 0)
		put_heap_values(text->out, v);
	else
		cprof_buffer_printf(text->out, "%" PRId64 " %" PRId64 " @", v[1], v[0]);
}

struct cprof_error *cprof_debug_text_write(const struct cprof_profile *profile, const char *kind,
					   const char *name, struct cprof_buffer *out)
{
	const struct text text = { profile, out };
	CPROF_AUTO(free) struct place *places = in_order(profile, profile->n_types - 1);
	if (!places)
		return cprof_error_no_memory();
	put_head(&text, kind, name);
	for (uint32_t i = 0; i < profile->n_samples; i++) {
		const struct cprof_sample *sample = &profile->samples[places[i].sample];
		put_values(&text, kind, values_of(profile, places[i].sample));
		put_addresses(&text, kind, sample);
		if (!kind)
			put_labels(&text, sample);
		put_names(&text, kind, sample);
	}
	return cprof_buffer_error(out);
}
