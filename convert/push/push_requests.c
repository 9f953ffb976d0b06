/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/push/push_requests.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/own_label.h"
#include "cprof/hash.h"

enum place { UNSEEN, NOWHERE, ATTRIBUTE, ID };

/* Of each string of the profile, as it was at the beginning. */
struct choice {
	const struct cprof_push_backend *backend;
	struct cprof_profile *profile;
	uint32_t n;
	struct name {
		enum place place; /* where a label of this name goes */
		uint32_t called;  /* string: how the server has the name */
	} * names;                /* owned */
	uint32_t *attributes;     /* owned; the strings whose place that is */
	uint32_t n_attributes;
};

bool cprof_push_requests_id(const char *text, size_t n_bytes, uint8_t *ret_bytes)
{
	uint8_t any = 0;
	if (strlen(text) != 2 * n_bytes || strspn(text, "0123456789abcdefABCDEF") != 2 * n_bytes)
		return false;
	for (size_t i = 0; i < n_bytes; i++) {
		const char pair[3] = { text[2 * i], text[2 * i + 1] };
		const uint8_t byte = (uint8_t)strtoul(pair, NULL, 16);
		any |= byte;
		if (ret_bytes)
			ret_bytes[i] = byte;
	}
	return any;
}

static unsigned id_of(const char *key)
{
	return strcmp(key, "trace_id") == 0 ? CPROF_PUSH_TRACE_ID : CPROF_PUSH_SPAN_ID;
}

static enum place place_of(const struct cprof_push_backend *backend, const char *key)
{
	if (cprof_is_request_id(key))
		return backend->requests & id_of(key) ? ID : NOWHERE;
	if (!(backend->requests & CPROF_PUSH_ATTRIBUTES) || !*key || cprof_is_own_label(key) ||
	    strncmp(key, "__", 2) == 0 || strcmp(key, "service_name") == 0)
		return NOWHERE;
	return ATTRIBUTE;
}

/* ---- which names ---- */

static void see_names(struct choice *choice)
{
	const struct cprof_profile *profile = choice->profile;
	for (uint32_t i = 0; i < profile->n_samples; i++) {
		const struct cprof_sample *sample = &profile->samples[i];
		for (uint32_t at = 0; at < sample->n_labels; at++) {
			const struct cprof_label *label =
				&profile->labels[sample->first_label + at];
			struct name *name = &choice->names[label->key];
			if (label->is_num || name->place != UNSEEN)
				continue;
			name->place =
				place_of(choice->backend, cprof_profile_text(profile, label->key));
			name->called = label->key;
			if (name->place == ATTRIBUTE)
				choice->attributes[choice->n_attributes++] = label->key;
		}
	}
}

static uint64_t pair_of(const struct cprof_label *label)
{
	return (uint64_t)label->key << 32 | label->text;
}

/* A name of which all samples have the same value says nothing of one of them. */
static struct cprof_error *drop_what_all_have(struct choice *choice)
{
	const struct cprof_profile *profile = choice->profile;
	struct seen {
		uint32_t n, value, sample; /* of the last one: its number from 1 */
		bool differs;
	};
	CPROF_AUTO(free) struct seen *seen = calloc((size_t)choice->n + 1, sizeof(*seen));
	if (!seen)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < profile->n_samples; i++) {
		const struct cprof_sample *sample = &profile->samples[i];
		for (uint32_t at = 0; at < sample->n_labels; at++) {
			const struct cprof_label *label =
				&profile->labels[sample->first_label + at];
			struct seen *name = &seen[label->key];
			name->differs = name->differs || (name->n && name->value != label->text);
			name->value = label->text;
			name->n += name->sample != i + 1;
			name->sample = i + 1;
		}
	}
	uint32_t n = 0;
	for (uint32_t i = 0; i < choice->n_attributes; i++) {
		const struct seen *name = &seen[choice->attributes[i]];
		if (name->n == profile->n_samples && !name->differs)
			choice->names[choice->attributes[i]].place = NOWHERE;
		else
			choice->attributes[n++] = choice->attributes[i];
	}
	choice->n_attributes = n;
	return NULL;
}

static int by_text(const void *left, const void *right, void *profile)
{
	return strcmp(cprof_profile_text(profile, *(const uint32_t *)left),
		      cprof_profile_text(profile, *(const uint32_t *)right));
}

/* The name as the server has it; of two that come out the same the first goes. */
static struct cprof_error *call_names(struct choice *choice)
{
	struct cprof_error *err = NULL;
	for (uint32_t i = 0; i < choice->n_attributes && !err; i++) {
		struct name *name = &choice->names[choice->attributes[i]];
		CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
		const char *key = cprof_profile_text(choice->profile, choice->attributes[i]);
		cprof_push_labels_put_name(choice->backend->grammar, key, strlen(key), &text);
		err = cprof_buffer_error(&text);
		if (!err)
			err = cprof_profile_string(choice->profile, cprof_buffer_text(&text),
						   &name->called);
		/* "service.name" would be the name of the whole series, and "span.id" no id. */
		if (!err && place_of(choice->backend, cprof_buffer_text(&text)) != ATTRIBUTE)
			name->place = NOWHERE;
		for (uint32_t before = 0; before < i && !err; before++) {
			const struct name *other = &choice->names[choice->attributes[before]];
			if (other->place == ATTRIBUTE && other->called == name->called)
				name->place = NOWHERE;
		}
	}
	return err;
}

/* Names that the server takes besides the whole profile's. */
static uint32_t names_max(const struct cprof_push_backend *backend, size_t n_labels)
{
	const size_t all = backend->grammar ? backend->grammar->max_labels : 0;
	size_t room = all > n_labels ? all - n_labels : 0;
	if (!all || room > CPROF_PUSH_REQUESTS_NAMES_MAX)
		room = CPROF_PUSH_REQUESTS_NAMES_MAX;
	return (uint32_t)room;
}

static struct cprof_error *choose(struct choice *choice, uint32_t max,
				  struct cprof_push_requests_left *left)
{
	see_names(choice);
	struct cprof_error *err = drop_what_all_have(choice);
	if (err)
		return err;
	qsort_r(choice->attributes, choice->n_attributes, sizeof(*choice->attributes), by_text,
		choice->profile);
	if (choice->n_attributes > max) {
		left->n_names = choice->n_attributes;
		left->n_gone = max;
		for (uint32_t i = max; i < choice->n_attributes; i++)
			choice->names[choice->attributes[i]].place = NOWHERE;
		choice->n_attributes = max;
	}
	return call_names(choice);
}

/* ---- which sets ---- */

static enum place place_of_label(const struct choice *choice, const struct cprof_label *label)
{
	if (label->is_num || !*cprof_profile_text(choice->profile, label->text))
		return NOWHERE;
	const struct name *name = &choice->names[label->key];
	if (name->place != ID)
		return name->place;
	const char *key = cprof_profile_text(choice->profile, label->key);
	const size_t bytes = id_of(key) == CPROF_PUSH_TRACE_ID ? 16 : 8;
	return cprof_push_requests_id(cprof_profile_text(choice->profile, label->text), bytes, NULL)
		       ? ID
		       : NOWHERE;
}

/* As many sets as there are, up to one more than may be. */
static struct cprof_error *count_sets(const struct choice *choice, uint32_t *ret_n)
{
	const struct cprof_profile *profile = choice->profile;
	struct cprof_map64 sets = { 0 };
	struct cprof_error *err = NULL;
	for (uint32_t i = 0; i < profile->n_samples && !err; i++) {
		const struct cprof_sample *sample = &profile->samples[i];
		uint64_t set = 0;
		for (uint32_t at = 0; at < sample->n_labels; at++) {
			const struct cprof_label *label =
				&profile->labels[sample->first_label + at];
			if (place_of_label(choice, label) == ATTRIBUTE)
				set += cprof_hash_u64(pair_of(label));
		}
		if (!cprof_map64_put(&sets, set, NULL))
			err = cprof_error_no_memory();
	}
	*ret_n = (uint32_t)sets.len;
	cprof_map64_deinit(&sets);
	return err;
}

static struct cprof_error *bound_sets(struct choice *choice, struct cprof_push_requests_left *left)
{
	uint32_t n;
	struct cprof_error *err = count_sets(choice, &n);
	if (err || n <= CPROF_PUSH_REQUESTS_SETS_MAX)
		return err;
	for (uint32_t i = 0; i < choice->n_attributes; i++)
		choice->names[choice->attributes[i]].place = NOWHERE;
	choice->n_attributes = 0;
	*left = (struct cprof_push_requests_left){ .n_sets = n };
	return NULL;
}

/* ---- the samples ---- */

static struct cprof_error *fit_value(const struct choice *choice, struct cprof_label *label)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_push_labels_put_value(choice->backend->grammar,
				    cprof_profile_text(choice->profile, label->text), &text);
	struct cprof_error *err = cprof_buffer_error(&text);
	return err ? err
		   : cprof_profile_string(choice->profile, cprof_buffer_text(&text), &label->text);
}

static struct cprof_error *strip(const struct choice *choice, struct cprof_sample *sample)
{
	struct cprof_label *labels = &choice->profile->labels[sample->first_label];
	struct cprof_error *err = NULL;
	uint32_t n = 0;
	for (uint32_t i = 0; i < sample->n_labels && !err; i++) {
		const enum place place = place_of_label(choice, &labels[i]);
		if (place != ATTRIBUTE && place != ID)
			continue;
		labels[n] = labels[i];
		labels[n].key = choice->names[labels[i].key].called;
		if (place == ATTRIBUTE)
			err = fit_value(choice, &labels[n]);
		n++;
	}
	sample->n_labels = n;
	return err;
}

struct cprof_error *cprof_push_requests_keep(struct cprof_profile *profile,
					     const struct cprof_push_backend *backend,
					     size_t n_labels,
					     struct cprof_push_requests_left *ret_left)
{
	const uint32_t n = profile->strings.len;
	CPROF_AUTO(free) struct name *names = calloc((size_t)n + 1, sizeof(*names));
	CPROF_AUTO(free) uint32_t *attributes = calloc((size_t)n + 1, sizeof(*attributes));
	struct choice choice = { .backend = backend,
				 .profile = profile,
				 .n = n,
				 .names = names,
				 .attributes = attributes };
	*ret_left = (struct cprof_push_requests_left){ 0 };
	if (!names || !attributes)
		return cprof_error_no_memory();
	struct cprof_error *err = choose(&choice, names_max(backend, n_labels), ret_left);
	if (!err)
		err = bound_sets(&choice, ret_left);
	for (uint32_t i = 0; i < profile->n_samples && !err; i++)
		err = strip(&choice, &profile->samples[i]);
	return err;
}

void cprof_push_requests_say_left(const struct cprof_push_requests_left *left,
				  struct cprof_buffer *out)
{
	if (left->n_sets)
		cprof_buffer_printf(out,
				    "without labels of requests: %" PRIu32 " sets are more than %d",
				    left->n_sets, CPROF_PUSH_REQUESTS_SETS_MAX);
	else if (left->n_names)
		cprof_buffer_printf(out, "with %" PRIu32 " of %" PRIu32 " labels of requests",
				    left->n_gone, left->n_names);
}
