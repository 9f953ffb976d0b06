/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/serve/profile_form.h"

#include <stdlib.h>
#include <string.h>

#include "attach/serve/endpoint.h"
#include "attach/serve/debug_text.h"
#include "base/cleanup.h"
#include "cprof/merge.h"
#include "cprof/pprof_read.h"
#include "cprof/pprof_write.h"

/* ---- types ---- */

static struct cprof_error *find_type(const struct cprof_profile *profile, const char *name,
				     uint32_t *ret_index)
{
	for (uint32_t i = 0; i < profile->n_types; i++) {
		if (strcmp(cprof_profile_text(profile, profile->types[i].type), name) == 0) {
			*ret_index = i;
			return NULL;
		}
	}
	return cprof_error_new(CPROF_ERR_BAD_DATA, "the profile has no %s", name);
}

/* Of each sample the values of these types only. They are written over themselves, never ahead of what is read: n is not larger. */
static void pick_values(struct cprof_profile *profile, const uint32_t *from, uint32_t n)
{
	for (size_t i = 0; i < profile->n_samples; i++) {
		int64_t row[CPROF_ENDPOINT_TYPES];
		for (uint32_t t = 0; t < n; t++)
			row[t] = profile->values[i * profile->n_types + from[t]];
		memcpy(&profile->values[i * n], row, n * sizeof(*row));
	}
}

static struct cprof_error *select_types(struct cprof_profile *profile,
					const struct cprof_endpoint *endpoint)
{
	struct cprof_value_type types[CPROF_ENDPOINT_TYPES];
	uint32_t from[CPROF_ENDPOINT_TYPES] = { 0 }, n = 0;
	struct cprof_error *err = NULL;
	for (; !err && n < CPROF_ENDPOINT_TYPES && endpoint->types[n]; n++) {
		const char *of = endpoint->types_of[n] ? endpoint->types_of[n] : endpoint->types[n];
		err = find_type(profile, of, &from[n]);
		types[n].unit = err ? 0 : profile->types[from[n]].unit;
		if (!err)
			err = cprof_profile_string(profile, endpoint->types[n], &types[n].type);
	}
	if (err || !n)
		return err;
	pick_values(profile, from, n);
	memcpy(profile->types, types, n * sizeof(*types));
	profile->n_types = n;
	profile->default_type = 0;
	return endpoint->default_type
		       ? cprof_profile_set_default_type(profile, endpoint->default_type)
		       : NULL;
}

/* ---- labels ---- */

/* Each of their values would be a series of its own for those who keep profiles. */
static bool is_fine_grained(const char *key)
{
	return strcmp(key, "tid") == 0 || strcmp(key, "lock") == 0 || strcmp(key, "owner") == 0;
}

static void drop_labels(struct cprof_profile *profile)
{
	for (uint32_t i = 0; i < profile->n_samples; i++) {
		struct cprof_sample *sample = &profile->samples[i];
		struct cprof_label *labels = &profile->labels[sample->first_label];
		uint32_t n = 0;
		for (uint32_t l = 0; l < sample->n_labels; l++) {
			if (!is_fine_grained(cprof_profile_text(profile, labels[l].key)))
				labels[n++] = labels[l];
		}
		sample->n_labels = n;
	}
}

/* ---- threads ---- */

bool cprof_profile_form_chooses(const struct cprof_profile_form *form)
{
	return *form->threads || *form->tids;
}

struct cprof_error *cprof_profile_form_choice(const struct cprof_profile_form *form,
					      struct cprof_thread_choice **ret_choice)
{
	*ret_choice = NULL;
	if (!cprof_profile_form_chooses(form))
		return NULL;
	return cprof_thread_choice_new(*form->threads ? form->threads : NULL,
				       *form->tids ? form->tids : NULL, ret_choice);
}

static bool is_of(const struct cprof_profile *profile, const struct cprof_sample *sample,
		  struct cprof_thread_choice *choice)
{
	pid_t tid = 0;
	const char *name = "";
	for (uint32_t i = 0; i < sample->n_labels; i++) {
		const struct cprof_label *label = &profile->labels[sample->first_label + i];
		const char *key = cprof_profile_text(profile, label->key);
		if (label->is_num && strcmp(key, "tid") == 0)
			tid = (pid_t)label->num;
		else if (!label->is_num && strcmp(key, "thread") == 0)
			name = cprof_profile_text(profile, label->text);
	}
	return cprof_thread_choice_has(choice, tid, name);
}

static struct cprof_error *choose_threads(const struct cprof_profile_form *form,
					  struct cprof_profile *profile)
{
	struct cprof_thread_choice *choice;
	CPROF_AUTO(free) bool *keep = calloc((size_t)profile->n_samples + 1, sizeof(*keep));
	struct cprof_error *err =
		keep ? cprof_profile_form_choice(form, &choice) : cprof_error_no_memory();
	if (err)
		return err;
	for (uint32_t i = 0; i < profile->n_samples; i++)
		keep[i] = is_of(profile, &profile->samples[i], choice);
	cprof_profile_keep_samples(profile, keep);
	cprof_thread_choice_free(choice);
	return NULL;
}

/* ---- the whole ---- */

static struct cprof_error *encode(const struct cprof_profile_form *form,
				  const struct cprof_profile *profile, struct cprof_buffer *out)
{
	const struct cprof_endpoint *endpoint = &cprof_endpoints[form->endpoint];
	if (form->shape == CPROF_SHAPE_TEXT)
		return cprof_debug_text_write(profile, endpoint->text, endpoint->name, out);
	return cprof_pprof_encode(profile,
				  form->shape == CPROF_SHAPE_PART ? 0 : CPROF_PPROF_GZIP_FAST, out);
}

/* What is counted since the start, or is the state of a moment, is of the moment at which it was asked for. */
static void set_moment(struct cprof_profile *profile)
{
	profile->time_ns += profile->duration_ns;
	profile->duration_ns = 0;
}

static struct cprof_error *read_part(const struct cprof_buffer *bytes,
				     struct cprof_profile **ret_profile)
{
	struct cprof_error *err = cprof_pprof_decode(bytes->data, bytes->len, ret_profile);
	if (!err && (*ret_profile)->n_types > CPROF_ENDPOINT_TYPES)
		err = cprof_error_new(CPROF_ERR_BAD_DATA, "the profile has too many types");
	return err;
}

/* Only what is counted from a start goes on: what is in use is what the later profile knows of. */
static void keep_counts(const struct cprof_endpoint *endpoint, struct cprof_profile *profile,
			int sign)
{
	for (size_t i = 0; i < profile->n_samples; i++) {
		int64_t *values = &profile->values[i * profile->n_types];
		for (uint32_t t = 0; t < profile->n_types; t++)
			values[t] = t < endpoint->state_from ? sign * values[t] : 0;
	}
	profile->n_comments = 0; /* the later one's say it all */
}

/* What differs in labels that were dropped only is one afterwards. */
static struct cprof_error *add_up(const struct cprof_endpoint *endpoint,
				  struct cprof_profile **profile, struct cprof_profile *carry)
{
	struct cprof_profile *both[] = { cprof_take_ptr(profile), carry };
	const int64_t time_ns = both[0]->time_ns, duration_ns = both[0]->duration_ns;
	if (carry)
		keep_counts(endpoint, carry, 1);
	struct cprof_error *err = cprof_merge(both, carry ? 2 : 1, profile);
	if (err)
		return err;
	(*profile)->time_ns = time_ns;
	(*profile)->duration_ns = duration_ns;
	return NULL;
}

struct cprof_error *cprof_profile_form_write_on(const struct cprof_profile_form *form,
						const struct cprof_buffer *carry_bytes,
						struct cprof_profile *given,
						struct cprof_buffer *out)
{
	const struct cprof_endpoint *endpoint = &cprof_endpoints[form->endpoint];
	CPROF_AUTO(profile) struct cprof_profile *profile = given, *carry = NULL;
	const bool chooses = cprof_profile_form_chooses(form);
	struct cprof_error *err = chooses ? choose_threads(form, profile) : NULL;
	if (!err)
		err = select_types(profile, endpoint);
	if (!err && endpoint->period_type)
		err = cprof_profile_string(profile, endpoint->period_type,
					   &profile->period_type.type);
	if (!err && carry_bytes && carry_bytes->len && !chooses)
		err = read_part(carry_bytes, &carry);
	if (err)
		return err;
	if (!form->all_labels) {
		drop_labels(profile);
		if (carry)
			drop_labels(carry);
	}
	err = add_up(endpoint, &profile, cprof_take_ptr(&carry));
	if (err)
		return err;
	if (form->shape != CPROF_SHAPE_PART && endpoint->kind != CPROF_ENDPOINT_SPELL)
		set_moment(profile);
	return encode(form, profile, out);
}

struct cprof_error *cprof_profile_form_write(const struct cprof_profile_form *form,
					     struct cprof_profile *profile,
					     struct cprof_buffer *out)
{
	return cprof_profile_form_write_on(form, NULL, profile, out);
}

/* ---- differences ---- */

static struct cprof_error *clamp(struct cprof_profile *profile)
{
	CPROF_AUTO(free) bool *keep = calloc((size_t)profile->n_samples + 1, sizeof(*keep));
	if (!keep)
		return cprof_error_no_memory();
	for (size_t i = 0; i < profile->n_samples; i++) {
		int64_t *values = &profile->values[i * profile->n_types];
		for (uint32_t t = 0; t < profile->n_types; t++) {
			values[t] = values[t] < 0 ? 0 : values[t];
			keep[i] = keep[i] || values[t];
		}
	}
	cprof_profile_keep_samples(profile, keep);
	return NULL;
}

/* Take `first` off `last`; both are given away. */
static struct cprof_error *subtract(const struct cprof_endpoint *endpoint,
				    struct cprof_profile *first, struct cprof_profile *last,
				    struct cprof_profile **ret_profile)
{
	struct cprof_profile *both[] = { last, first };
	keep_counts(endpoint, first, -1);
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	struct cprof_error *err = cprof_merge(both, 2, &profile);
	if (!err)
		err = clamp(profile);
	if (!err)
		*ret_profile = cprof_take_ptr(&profile);
	return err;
}

struct cprof_error *cprof_profile_form_subtract(const struct cprof_profile_form *form,
						const struct cprof_buffer *first_bytes,
						const struct cprof_buffer *last_bytes,
						struct cprof_profile **ret_profile)
{
	const struct cprof_endpoint *endpoint = &cprof_endpoints[form->endpoint];
	CPROF_AUTO(profile) struct cprof_profile *first = NULL, *last = NULL, *profile = NULL;
	struct cprof_error *err = read_part(last_bytes, &last);
	if (!err && first_bytes && first_bytes->len)
		err = read_part(first_bytes, &first);
	if (err)
		return err;
	if (!first) {
		*ret_profile = cprof_take_ptr(&last);
		return NULL;
	}
	const int64_t from_ns = first->time_ns + first->duration_ns;
	const int64_t until_ns = last->time_ns + last->duration_ns;
	err = subtract(endpoint, cprof_take_ptr(&first), cprof_take_ptr(&last), &profile);
	if (err)
		return err;
	profile->time_ns = from_ns;
	profile->duration_ns = until_ns - from_ns;
	*ret_profile = cprof_take_ptr(&profile);
	return NULL;
}

struct cprof_error *cprof_profile_form_difference(const struct cprof_profile_form *form,
						  const struct cprof_buffer *first,
						  const struct cprof_buffer *last,
						  struct cprof_buffer *out)
{
	const struct cprof_endpoint *endpoint = &cprof_endpoints[form->endpoint];
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	struct cprof_error *err = cprof_profile_form_subtract(form, first, last, &profile);
	if (err)
		return err;
	/* Go's differences are of their end, its CPU profiles of their beginning. */
	if (endpoint->kind != CPROF_ENDPOINT_WINDOW && first->len)
		profile->time_ns += profile->duration_ns;
	return encode(form, profile, out);
}

bool cprof_profile_form_of_mode(const char *mode, struct cprof_profile_form *ret_form)
{
	/* "heap" has the name of its mode, and so have most. */
	const char *name = strcmp(mode, "cpu") == 0 ? "profile" : mode;
	const struct cprof_endpoint *endpoint = cprof_endpoint_find(name);
	if (endpoint)
		ret_form->endpoint = (uint8_t)(endpoint - cprof_endpoints);
	return endpoint != NULL;
}
