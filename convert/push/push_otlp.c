/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/push/push_otlp.c - OpenTelemetry's profiles over HTTP, as its protocol has them from 1.10 on. The protocol is not
 * finished ("Development"), so this may have to change with it.
 *
 * A profile there has one type of values, so one of ours becomes one for each type; all share a dictionary, whose tables begin
 * with an entry that means "none". Nanoseconds of CPU that are samples times the period are not sent beside the samples:
 * Pyroscope makes them of these, and would have them twice. Ids of traces and spans are links, other labels of requests attributes of
 * samples.
 *
 * Source: opentelemetry-proto's profiles.proto (v1development); what the Collector 0.165 and Pyroscope 2.2 answer was tried.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/own_label.h"
#include "base/proto_put.h"
#include "base/version.h"
#include "convert/push/push_backend.h"
#include "convert/push/push_requests.h"
#include "cprof/hash.h"

#define PATH "/v1development/profiles"

/* Names of ours, and what OpenTelemetry's conventions call the same. */
static const struct {
	const char *ours, *theirs;
} names[] = { { "hostname", "host.name" },
	      { "process", "process.executable.name" },
	      { "version", "service.version" },
	      { "container_id", "container.id" } };

enum key { FRAME_TYPE, MAPPING_HAS_FUNCTIONS, BUILD_ID, N_KEYS };

static const char *const key_texts[N_KEYS] = {
	[FRAME_TYPE] = "profile.frame.type",
	[MAPPING_HAS_FUNCTIONS] = "pprof.mapping.has_functions",
	[BUILD_ID] = "process.executable.build_id.gnu",
};

/* The dictionary as it is put together: the profile's strings come first, under their own numbers. */
struct dictionary {
	const struct cprof_profile *profile;
	struct cprof_buffer mappings, stacks, links, strings, attributes;
	uint32_t n_stacks, n_links, n_strings, n_attributes;
	uint32_t keys[N_KEYS]; /* strings: of the attributes that we put */
	struct cprof_map64 stack_map, link_map,
		label_map; /* what is there already, and its number */
	struct row {
		uint32_t stack, link;
	} * rows; /* owned; of each sample */
	bool failed;
};

enum { NATIVE = 1, KERNEL, HAS_FUNCTIONS, FIRST_BUILD_ID }; /* attributes; 0 is none */

static bool serves(const char *path, size_t n)
{
	return cprof_push_path_ends(path, n, PATH);
}

static void put_attribute(struct dictionary *dict, enum key key, const struct cprof_buffer *any)
{
	CPROF_AUTO(buffer) struct cprof_buffer attribute = { 0 };
	cprof_proto_put_number(&attribute, 1, dict->keys[key]);
	cprof_proto_put_message(&attribute, 2, any);
	cprof_proto_put_message(&dict->attributes, 6, &attribute);
	dict->n_attributes++;
}

static void put_text_attribute(struct dictionary *dict, enum key key, const char *value)
{
	CPROF_AUTO(buffer) struct cprof_buffer any = { 0 };
	cprof_proto_put_text(&any, 1, value);
	put_attribute(dict, key, &any);
}

static void begin_dictionary(struct dictionary *dict)
{
	const struct cprof_profile *profile = dict->profile;
	CPROF_AUTO(buffer) struct cprof_buffer yes = { 0 };
	for (uint32_t i = 0; i < profile->strings.len; i++) {
		const char *text = cprof_profile_text(profile, i);
		cprof_proto_put_text(&dict->strings, 5, text);
		for (size_t key = 0; key < N_KEYS; key++) {
			if (strcmp(text, key_texts[key]) == 0)
				dict->keys[key] = i;
		}
	}
	dict->n_strings = profile->strings.len;
	for (size_t key = 0; key < N_KEYS; key++) { /* no string twice */
		if (dict->keys[key])
			continue;
		cprof_proto_put_text(&dict->strings, 5, key_texts[key]);
		dict->keys[key] = dict->n_strings++;
	}
	cprof_proto_put_text(&dict->attributes, 6, "");
	dict->n_attributes = 1;
	put_text_attribute(dict, FRAME_TYPE, "native");
	put_text_attribute(dict, FRAME_TYPE, "kernel");
	cprof_proto_put_number(&yes, 2, 1);
	put_attribute(dict, MAPPING_HAS_FUNCTIONS, &yes);
}

static void put_indices(struct cprof_buffer *out, uint32_t field, const uint32_t *indices, size_t n)
{
	CPROF_AUTO(buffer) struct cprof_buffer packed = { 0 };
	for (size_t i = 0; i < n; i++)
		cprof_proto_put_varint(&packed, indices[i]);
	if (n)
		cprof_proto_put_message(out, field, &packed);
}

static void put_mapping(struct dictionary *dict, const struct cprof_mapping *mapping,
			struct cprof_buffer *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer message = { 0 };
	uint32_t attributes[2];
	size_t n = 0;
	if (mapping->build_id) {
		attributes[n++] = dict->n_attributes;
		put_text_attribute(dict, BUILD_ID,
				   cprof_profile_text(dict->profile, mapping->build_id));
	}
	if (mapping->has_functions)
		attributes[n++] = HAS_FUNCTIONS;
	cprof_proto_put_number(&message, 1, mapping->start);
	cprof_proto_put_number(&message, 2, mapping->limit);
	cprof_proto_put_number(&message, 3, mapping->offset);
	cprof_proto_put_number(&message, 4, mapping->filename);
	put_indices(&message, 5, attributes, n);
	cprof_proto_put_message(out, 1, &message);
}

static bool is_kernel(const struct cprof_profile *profile, uint32_t mapping)
{
	return mapping &&
	       strncmp(cprof_profile_text(profile, profile->mappings[mapping - 1].filename),
		       "[kernel", 7) == 0;
}

static void put_location(const struct cprof_profile *profile, const struct cprof_location *location,
			 struct cprof_buffer *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer message = { 0 };
	const uint32_t type = is_kernel(profile, location->mapping) ? KERNEL : NATIVE;
	cprof_proto_put_number(&message, 1, location->mapping);
	cprof_proto_put_number(&message, 2, location->address);
	for (uint32_t i = 0; i < location->n_lines; i++) {
		const struct cprof_line *from = &profile->lines[location->first_line + i];
		CPROF_AUTO(buffer) struct cprof_buffer line = { 0 };
		cprof_proto_put_number(&line, 1, from->function + 1);
		cprof_proto_put_number(&line, 2, (uint64_t)from->line);
		cprof_proto_put_number(&line, 3, (uint64_t)from->column);
		cprof_proto_put_message(&message, 3, &line);
	}
	put_indices(&message, 4, &type, 1);
	cprof_proto_put_message(out, 2, &message);
}

static void put_function(const struct cprof_function *function, struct cprof_buffer *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer message = { 0 };
	cprof_proto_put_number(&message, 1, function->name);
	cprof_proto_put_number(&message, 2, function->system_name);
	cprof_proto_put_number(&message, 3, function->filename);
	cprof_proto_put_number(&message, 4, (uint64_t)function->start_line);
	cprof_proto_put_message(out, 3, &message);
}

/* The number that `key` has in `map`; a new one gets *n, which grows. 0: out of memory, and noted. */
static uint32_t number_of(struct dictionary *dict, struct cprof_map64 *map, uint64_t key,
			  uint32_t *n, bool *ret_new)
{
	uint64_t *number = cprof_map64_put(map, key, ret_new);
	if (!number) {
		dict->failed = true;
		*ret_new = false;
		return 0;
	}
	if (*ret_new)
		*number = (*n)++;
	return (uint32_t)*number;
}

/* Stacks of samples that differ in labels only are one. */
static uint32_t put_stack(struct dictionary *dict, const struct cprof_sample *sample)
{
	const uint32_t *stack = &dict->profile->stacks[sample->first_location];
	const uint64_t key = cprof_hash_bytes_from(dict->profile->strings.secret, stack,
						   sample->n_locations * sizeof(*stack));
	bool is_new;
	const uint32_t number = number_of(dict, &dict->stack_map, key, &dict->n_stacks, &is_new);
	if (!is_new)
		return number;
	CPROF_AUTO(buffer) struct cprof_buffer message = { 0 };
	CPROF_AUTO(buffer) struct cprof_buffer packed = { 0 };
	for (uint32_t i = 0; i < sample->n_locations; i++)
		cprof_proto_put_varint(&packed, stack[i] + 1);
	cprof_proto_put_message(&message, 1, &packed);
	cprof_proto_put_message(&dict->stacks, 7, &message);
	return number;
}

/* A trace and a span; one without the other is no link. */
static uint32_t put_link(struct dictionary *dict, const struct cprof_sample *sample)
{
	const struct cprof_profile *profile = dict->profile;
	uint32_t trace = 0, span = 0;
	for (uint32_t i = 0; i < sample->n_labels; i++) {
		const struct cprof_label *label = &profile->labels[sample->first_label + i];
		const char *key = cprof_profile_text(profile, label->key);
		if (strcmp(key, "trace_id") == 0)
			trace = label->text;
		else if (strcmp(key, "span_id") == 0)
			span = label->text;
	}
	uint8_t trace_id[16], span_id[8];
	if (!cprof_push_requests_id(cprof_profile_text(profile, trace), sizeof(trace_id),
				    trace_id) ||
	    !cprof_push_requests_id(cprof_profile_text(profile, span), sizeof(span_id), span_id))
		return 0;
	bool is_new;
	const uint32_t number = number_of(dict, &dict->link_map, (uint64_t)trace << 32 | span,
					  &dict->n_links, &is_new);
	if (is_new) {
		CPROF_AUTO(buffer) struct cprof_buffer message = { 0 };
		cprof_proto_put_bytes(&message, 1, trace_id, sizeof(trace_id));
		cprof_proto_put_bytes(&message, 2, span_id, sizeof(span_id));
		cprof_proto_put_message(&dict->links, 4, &message);
	}
	return number;
}

static uint64_t label_key(const struct cprof_label *label)
{
	return (uint64_t)label->key << 32 | label->text;
}

static void put_labels(struct dictionary *dict, const struct cprof_sample *sample)
{
	const struct cprof_profile *profile = dict->profile;
	for (uint32_t i = 0; i < sample->n_labels; i++) {
		const struct cprof_label *label = &profile->labels[sample->first_label + i];
		bool is_new = false;
		if (!cprof_is_request_id(cprof_profile_text(profile, label->key)))
			number_of(dict, &dict->label_map, label_key(label), &dict->n_attributes,
				  &is_new);
		if (!is_new)
			continue;
		CPROF_AUTO(buffer) struct cprof_buffer attribute = { 0 };
		CPROF_AUTO(buffer) struct cprof_buffer any = { 0 };
		cprof_proto_put_text(&any, 1, cprof_profile_text(profile, label->text));
		cprof_proto_put_number(&attribute, 1, label->key);
		cprof_proto_put_message(&attribute, 2, &any);
		cprof_proto_put_message(&dict->attributes, 6, &attribute);
	}
}

/* All that mappings and samples bring in. */
static struct cprof_error *fill_dictionary(struct dictionary *dict)
{
	const struct cprof_profile *profile = dict->profile;
	dict->rows = calloc((size_t)profile->n_samples + 1, sizeof(*dict->rows));
	if (!dict->rows)
		return cprof_error_no_memory();
	begin_dictionary(dict);
	dict->n_stacks = 1;
	dict->n_links = 1;
	for (uint32_t i = 0; i < profile->n_mappings; i++)
		put_mapping(dict, &profile->mappings[i], &dict->mappings);
	for (uint32_t i = 0; i < profile->n_samples; i++) {
		const struct cprof_sample *sample = &profile->samples[i];
		dict->rows[i].stack = put_stack(dict, sample);
		dict->rows[i].link = put_link(dict, sample);
		put_labels(dict, sample);
	}
	return dict->failed ? cprof_error_no_memory() : NULL;
}

static void dictionary_deinit(struct dictionary *dict)
{
	cprof_buffer_deinit(&dict->mappings);
	cprof_buffer_deinit(&dict->stacks);
	cprof_buffer_deinit(&dict->links);
	cprof_buffer_deinit(&dict->strings);
	cprof_buffer_deinit(&dict->attributes);
	cprof_map64_deinit(&dict->stack_map);
	cprof_map64_deinit(&dict->link_map);
	cprof_map64_deinit(&dict->label_map);
	free(dict->rows);
}

static void put_table(struct cprof_buffer *out, const struct cprof_buffer *table)
{
	cprof_buffer_append(out, table->data, table->len);
	out->failed = out->failed || table->failed;
}

static void put_dictionary(const struct dictionary *dict, struct cprof_buffer *out)
{
	const struct cprof_profile *profile = dict->profile;
	cprof_proto_put_text(out, 1, "");
	put_table(out, &dict->mappings);
	cprof_proto_put_text(out, 2, "");
	for (uint32_t i = 0; i < profile->n_locations; i++)
		put_location(profile, &profile->locations[i], out);
	cprof_proto_put_text(out, 3, "");
	for (uint32_t i = 0; i < profile->n_functions; i++)
		put_function(&profile->functions[i], out);
	cprof_proto_put_text(out, 4, "");
	put_table(out, &dict->links);
	put_table(out, &dict->strings);
	put_table(out, &dict->attributes);
	cprof_proto_put_text(out, 7, "");
	put_table(out, &dict->stacks);
}

static void put_type(struct cprof_buffer *out, uint32_t field, const struct cprof_value_type *type)
{
	CPROF_AUTO(buffer) struct cprof_buffer message = { 0 };
	cprof_proto_put_number(&message, 1, type->type);
	cprof_proto_put_number(&message, 2, type->unit);
	cprof_proto_put_message(out, field, &message);
}

static void put_sample(const struct dictionary *dict, uint32_t i, int64_t value,
		       struct cprof_buffer *out)
{
	const struct cprof_sample *sample = &dict->profile->samples[i];
	CPROF_AUTO(buffer) struct cprof_buffer message = { 0 };
	CPROF_AUTO(buffer) struct cprof_buffer attributes = { 0 };
	CPROF_AUTO(buffer) struct cprof_buffer values = { 0 };
	for (uint32_t at = 0; at < sample->n_labels; at++) {
		const struct cprof_label *label = &dict->profile->labels[sample->first_label + at];
		const uint64_t *number = cprof_map64_get(&dict->label_map, label_key(label));
		if (number)
			cprof_proto_put_varint(&attributes, *number);
	}
	cprof_proto_put_varint(&values, (uint64_t)value);
	cprof_proto_put_number(&message, 1, dict->rows[i].stack);
	if (attributes.len)
		cprof_proto_put_message(&message, 2, &attributes);
	cprof_proto_put_number(&message, 3, dict->rows[i].link);
	cprof_proto_put_message(&message, 4, &values);
	cprof_proto_put_message(out, 2, &message);
}

static void put_profile(const struct dictionary *dict, uint32_t type, struct cprof_buffer *out)
{
	const struct cprof_profile *profile = dict->profile;
	CPROF_AUTO(buffer) struct cprof_buffer message = { 0 };
	uint8_t id[16];
	put_type(&message, 1, &profile->types[type]);
	for (uint32_t i = 0; i < profile->n_samples; i++) {
		int64_t value = profile->values[(size_t)i * profile->n_types + type];
		if (value)
			put_sample(dict, i, value, &message);
	}
	cprof_proto_put_fixed64(&message, 3, (uint64_t)profile->time_ns);
	cprof_proto_put_number(&message, 4, (uint64_t)profile->duration_ns);
	put_type(&message, 5, &profile->period_type);
	cprof_proto_put_number(&message, 6, (uint64_t)profile->period);
	if (getrandom(id, sizeof(id), 0) == sizeof(id))
		cprof_proto_put_bytes(&message, 7, id, sizeof(id));
	cprof_proto_put_message(out, 2, &message);
}

/* Whether type `type` says nothing that samples and the period do not: value = samples * period everywhere. */
static bool is_implied(const struct cprof_profile *profile, uint32_t type)
{
	if (type == 0 ||
	    strcmp(cprof_profile_text(profile, profile->types[0].type), "samples") != 0 ||
	    profile->types[type].type != profile->period_type.type ||
	    profile->types[type].unit != profile->period_type.unit)
		return false;
	for (uint32_t i = 0; i < profile->n_samples; i++) {
		const int64_t *values = &profile->values[(size_t)i * profile->n_types];
		int64_t product;
		if (__builtin_mul_overflow(values[0], profile->period, &product) ||
		    values[type] != product)
			return false;
	}
	return true;
}

static void put_resource_attribute(struct cprof_buffer *out, const char *name, const char *value)
{
	CPROF_AUTO(buffer) struct cprof_buffer pair = { 0 };
	CPROF_AUTO(buffer) struct cprof_buffer any = { 0 };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i].ours, name) == 0)
			name = names[i].theirs;
	}
	cprof_proto_put_text(&any, 1, value);
	cprof_proto_put_text(&pair, 1, name);
	cprof_proto_put_message(&pair, 2, &any);
	cprof_proto_put_message(out, 1, &pair);
}

static void put_resource(const struct cprof_push_part *part, struct cprof_buffer *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer resource = { 0 };
	put_resource_attribute(&resource, "service.name", part->service);
	for (size_t i = 0; i < part->labels->len; i++)
		put_resource_attribute(&resource, part->labels->items[i].name,
				       part->labels->items[i].value);
	cprof_proto_put_message(out, 1, &resource);
}

static void make(const struct cprof_push_part *part, struct cprof_push_request *request)
{
	CPROF_AUTO(buffer) struct cprof_buffer resource = { 0 };
	CPROF_AUTO(buffer) struct cprof_buffer scope = { 0 };
	CPROF_AUTO(buffer) struct cprof_buffer dictionary = { 0 };
	struct dictionary dict = { .profile = part->profile };
	struct cprof_error *err = fill_dictionary(&dict);
	request->body.failed = err;
	cprof_push_put_url(&request->url, part->url, PATH);
	cprof_buffer_puts(&request->headers, "Content-Type: application/x-protobuf\n");
	put_resource(part, &resource);
	cprof_proto_put_pair(&scope, 1, "cprof-attach", CPROF_VERSION);
	for (uint32_t i = 0; i < part->profile->n_types && !err; i++) {
		if (!is_implied(part->profile, i))
			put_profile(&dict, i, &scope);
	}
	cprof_proto_put_message(&resource, 2, &scope);
	put_dictionary(&dict, &dictionary);
	cprof_proto_put_message(&request->body, 1, &resource);
	cprof_proto_put_message(&request->body, 2, &dictionary);
	dictionary_deinit(&dict);
	cprof_error_free(err);
}

/* "OTLP/HTTP Response": these four, and no others, may be tried again. Pyroscope says 500 for what it cannot read. */
static enum cprof_push_verdict judge(const struct cprof_push_answer *answer)
{
	bool again = answer->status == 502 || answer->status == 503 || answer->status == 504;
	return answer->status >= 500 ? again ? CPROF_PUSH_AGAIN : CPROF_PUSH_REFUSED
				     : cprof_push_judge_http(answer);
}

const struct cprof_push_backend cprof_push_otlp = {
	.name = "otlp",
	.prefix = "otlp",
	.serves = serves,
	.max_bytes = 3u << 19,
	.max_samples = 16000,
	.requests = CPROF_PUSH_ATTRIBUTES | CPROF_PUSH_SPAN_ID | CPROF_PUSH_TRACE_ID,
	.make = make,
	.judge = judge,
};
