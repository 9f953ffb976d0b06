/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/pprof_write.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/proto_put.h"
#include "convert/profile/deflate.h"

struct writer {
	const struct cprof_profile *profile;
	struct cprof_buffer *out;   /* the plain protobuf */
	struct cprof_buffer inner;  /* a message being composed; its length goes first */
	struct cprof_buffer nested; /* a message inside that one, or packed numbers */
	uint32_t *number;           /* string -> number in the file + 1; 0: not mentioned yet */
	uint32_t *order;            /* the strings in order of mention */
	uint32_t n_order;
	const struct cprof_label **labels; /* of one sample, sorted */
	size_t labels_room;
};

/* Close the message in `message` as `field` of `out`, and leave `message` empty for the next. */
static void put_message(struct cprof_buffer *out, unsigned field, struct cprof_buffer *message)
{
	cprof_proto_put_message(out, field, message);
	message->len = 0;
}

static uint64_t number_of(struct writer *w, uint32_t string)
{
	if (!w->number[string]) {
		w->order[w->n_order++] = string;
		w->number[string] = w->n_order;
	}
	return w->number[string] - 1;
}

static void put_type(struct writer *w, unsigned field, const struct cprof_value_type *type)
{
	cprof_proto_put_number(&w->inner, 1, number_of(w, type->type));
	cprof_proto_put_number(&w->inner, 2, number_of(w, type->unit));
	put_message(w->out, field, &w->inner);
}

static void put_stack(struct writer *w, const uint32_t *stack, uint32_t n)
{
	if (n <= 2) {
		for (uint32_t i = 0; i < n; i++)
			cprof_proto_put_entry(&w->inner, 1, (uint64_t)stack[i] + 1);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		cprof_proto_put_varint(&w->nested, (uint64_t)stack[i] + 1);
	put_message(&w->inner, 1, &w->nested);
}

static void put_values(struct writer *w, const int64_t *values, uint32_t n)
{
	if (n <= 2) {
		for (uint32_t i = 0; i < n; i++)
			cprof_proto_put_entry(&w->inner, 2, (uint64_t)values[i]);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		cprof_proto_put_varint(&w->nested, (uint64_t)values[i]);
	put_message(&w->inner, 2, &w->nested);
}

/* Text labels before numbers, each by key; equal keys keep their order (the addresses tell it). */
static int compare_labels(const void *a, const void *b, void *profile)
{
	const struct cprof_label *x = *(const struct cprof_label *const *)a;
	const struct cprof_label *y = *(const struct cprof_label *const *)b;
	if (x->is_num != y->is_num)
		return x->is_num ? 1 : -1;
	int order =
		strcmp(cprof_profile_text(profile, x->key), cprof_profile_text(profile, y->key));
	return order ? order : (x > y) - (x < y);
}

static bool sort_labels(struct writer *w, const struct cprof_label *labels, uint32_t n)
{
	if (!CPROF_ARRAY_ROOM(w->labels, 0, w->labels_room, n))
		return false;
	for (uint32_t i = 0; i < n; i++)
		w->labels[i] = &labels[i];
	qsort_r(w->labels, n, sizeof(*w->labels), compare_labels, (void *)w->profile);
	return true;
}

static void put_labels(struct writer *w, const struct cprof_sample *sample)
{
	if (!sample->n_labels)
		return;
	if (!sort_labels(w, w->profile->labels + sample->first_label, sample->n_labels)) {
		w->out->failed = true;
		return;
	}
	for (uint32_t i = 0; i < sample->n_labels; i++) {
		const struct cprof_label *label = w->labels[i];
		cprof_proto_put_number(&w->nested, 1, number_of(w, label->key));
		if (label->is_num) {
			cprof_proto_put_number(&w->nested, 3, (uint64_t)label->num);
			cprof_proto_put_number(&w->nested, 4, number_of(w, label->text));
		} else {
			cprof_proto_put_number(&w->nested, 2, number_of(w, label->text));
		}
		put_message(&w->inner, 3, &w->nested);
	}
}

static void put_samples(struct writer *w)
{
	const struct cprof_profile *p = w->profile;
	for (uint32_t i = 0; i < p->n_samples; i++) {
		const struct cprof_sample *sample = &p->samples[i];
		put_stack(w, p->stacks + sample->first_location, sample->n_locations);
		put_values(w, p->values + (size_t)i * p->n_types, p->n_types);
		put_labels(w, sample);
		put_message(w->out, 2, &w->inner);
	}
}

static void put_mappings(struct writer *w)
{
	for (uint32_t i = 0; i < w->profile->n_mappings; i++) {
		const struct cprof_mapping *mapping = &w->profile->mappings[i];
		cprof_proto_put_entry(&w->inner, 1, (uint64_t)i + 1);
		cprof_proto_put_number(&w->inner, 2, mapping->start);
		cprof_proto_put_number(&w->inner, 3, mapping->limit);
		cprof_proto_put_number(&w->inner, 4, mapping->offset);
		cprof_proto_put_number(&w->inner, 5, number_of(w, mapping->filename));
		cprof_proto_put_number(&w->inner, 6, number_of(w, mapping->build_id));
		cprof_proto_put_number(&w->inner, 7, mapping->has_functions);
		cprof_proto_put_number(&w->inner, 8, mapping->has_filenames);
		cprof_proto_put_number(&w->inner, 9, mapping->has_line_numbers);
		cprof_proto_put_number(&w->inner, 10, mapping->has_inline_frames);
		put_message(w->out, 3, &w->inner);
	}
}

static void put_locations(struct writer *w)
{
	for (uint32_t i = 0; i < w->profile->n_locations; i++) {
		const struct cprof_location *location = &w->profile->locations[i];
		cprof_proto_put_entry(&w->inner, 1, (uint64_t)i + 1);
		cprof_proto_put_number(&w->inner, 2, location->mapping);
		cprof_proto_put_number(&w->inner, 3, location->address);
		for (uint32_t j = 0; j < location->n_lines; j++) {
			const struct cprof_line *line =
				&w->profile->lines[location->first_line + j];
			cprof_proto_put_entry(&w->nested, 1, (uint64_t)line->function + 1);
			cprof_proto_put_number(&w->nested, 2, (uint64_t)line->line);
			cprof_proto_put_number(&w->nested, 3, (uint64_t)line->column);
			put_message(&w->inner, 4, &w->nested);
		}
		cprof_proto_put_number(&w->inner, 5, location->is_folded);
		put_message(w->out, 4, &w->inner);
	}
}

static void put_functions(struct writer *w)
{
	for (uint32_t i = 0; i < w->profile->n_functions; i++) {
		const struct cprof_function *function = &w->profile->functions[i];
		cprof_proto_put_entry(&w->inner, 1, (uint64_t)i + 1);
		cprof_proto_put_number(&w->inner, 2, number_of(w, function->name));
		cprof_proto_put_number(&w->inner, 3, number_of(w, function->system_name));
		cprof_proto_put_number(&w->inner, 4, number_of(w, function->filename));
		cprof_proto_put_number(&w->inner, 5, (uint64_t)function->start_line);
		put_message(w->out, 5, &w->inner);
	}
}

/* Everything after the string table. Its strings are numbered by mention_header() before. */
static void put_header(struct writer *w)
{
	const struct cprof_profile *p = w->profile;
	cprof_proto_put_number(w->out, 7, number_of(w, p->drop_frames));
	cprof_proto_put_number(w->out, 8, number_of(w, p->keep_frames));
	cprof_proto_put_number(w->out, 9, (uint64_t)p->time_ns);
	cprof_proto_put_number(w->out, 10, (uint64_t)p->duration_ns);
	if (p->period_type.type || p->period_type.unit)
		put_type(w, 11, &p->period_type);
	cprof_proto_put_number(w->out, 12, (uint64_t)p->period);
	for (uint32_t i = 0; i < p->n_comments; i++) {
		if (p->n_comments <= 2)
			cprof_proto_put_entry(w->out, 13, number_of(w, p->comments[i]));
		else
			cprof_proto_put_varint(&w->inner, number_of(w, p->comments[i]));
	}
	if (p->n_comments > 2)
		put_message(w->out, 13, &w->inner);
	cprof_proto_put_entry(w->out, 14, number_of(w, p->default_type));
	cprof_proto_put_number(w->out, 15, number_of(w, p->doc_url));
}

static void mention_header(struct writer *w)
{
	const struct cprof_profile *p = w->profile;
	number_of(w, p->drop_frames);
	number_of(w, p->keep_frames);
	number_of(w, p->period_type.type);
	number_of(w, p->period_type.unit);
	for (uint32_t i = 0; i < p->n_comments; i++)
		number_of(w, p->comments[i]);
	number_of(w, p->default_type);
	number_of(w, p->doc_url);
}

static void put_strings(struct writer *w)
{
	for (uint32_t i = 0; i < w->n_order; i++) {
		const struct cprof_intern_entry *entry = &w->profile->strings.entries[w->order[i]];
		cprof_proto_put_bytes(w->out, 6, entry->text, entry->len);
	}
}

static struct cprof_error *encode_plain(const struct cprof_profile *profile,
					struct cprof_buffer *out)
{
	struct writer w = { .profile = profile, .out = out };
	w.number = calloc(profile->strings.len, sizeof(*w.number));
	w.order = calloc(profile->strings.len, sizeof(*w.order));
	if (w.number && w.order) {
		number_of(&w, 0);
		for (uint32_t i = 0; i < profile->n_types; i++)
			put_type(&w, 1, &profile->types[i]);
		put_samples(&w);
		put_mappings(&w);
		put_locations(&w);
		put_functions(&w);
		mention_header(&w);
		put_strings(&w);
		put_header(&w);
	} else {
		out->failed = true;
	}
	free(w.number);
	free(w.order);
	free(w.labels);
	cprof_buffer_deinit(&w.inner);
	cprof_buffer_deinit(&w.nested);
	return cprof_buffer_error(out);
}

struct cprof_error *cprof_pprof_encode(const struct cprof_profile *profile, int gzip_level,
				       struct cprof_buffer *out)
{
	if (gzip_level == 0)
		return encode_plain(profile, out);
	CPROF_AUTO(buffer) struct cprof_buffer plain = { 0 };
	struct cprof_error *err = encode_plain(profile, &plain);
	if (!err)
		err = cprof_deflate(plain.data, plain.len, gzip_level, out);
	return err ? cprof_error_wrap(err, "compress a profile") : NULL;
}
