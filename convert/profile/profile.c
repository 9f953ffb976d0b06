/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/profile.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/printable.h"
#include "base/printable_text.h"

void cprof_profile_free(struct cprof_profile *profile)
{
	if (!profile)
		return;
	cprof_intern_deinit(&profile->strings);
	cprof_map64_deinit(&profile->function_map);
	free(profile->types);
	free(profile->mappings);
	free(profile->functions);
	free(profile->lines);
	free(profile->locations);
	free(profile->samples);
	free(profile->values);
	free(profile->stacks);
	free(profile->labels);
	free(profile->comments);
	free(profile->location_ids);
	free(profile->mapping_ids);
	free(profile);
}

struct cprof_error *cprof_profile_string(struct cprof_profile *profile, const char *text,
					 uint32_t *ret_string)
{
	const size_t n = text ? strlen(text) : 0;
	if (cprof_printable_is(text, n))
		return cprof_intern_bytes(&profile->strings, text ? text : "", n, ret_string);
	CPROF_AUTO(buffer) struct cprof_buffer fitted = { 0 };
	cprof_printable_put(&fitted, text, n, "");
	struct cprof_error *err = cprof_buffer_error(&fitted);
	return err ? err
		   : cprof_intern_bytes(&profile->strings, (const char *)fitted.data, fitted.len,
					ret_string);
}

struct cprof_error *cprof_profile_grow(void *array_pointer, uint32_t n, uint32_t *room,
				       size_t extra, size_t entry_bytes)
{
	if (extra <= *room - n)
		return NULL;
	if (extra > UINT32_MAX - n)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "more than %u entries of one kind in a profile", UINT32_MAX);
	return cprof_array_room32(array_pointer, n, room, extra, entry_bytes)
		       ? NULL
		       : cprof_error_no_memory();
}

#define GROW(profile, array, extra)                                                                \
	cprof_profile_grow(&(profile)->array, (profile)->n_##array, &(profile)->room.array,        \
			   (extra), sizeof(*(profile)->array))

/* No array is ever NULL, so that an empty one may be pointed into like any other. */
static struct cprof_error *make_room(struct cprof_profile *profile)
{
	struct cprof_error *err = GROW(profile, mappings, 1);
	if (!err)
		err = GROW(profile, functions, 1);
	if (!err)
		err = GROW(profile, lines, 1);
	if (!err)
		err = GROW(profile, locations, 1);
	if (!err)
		err = GROW(profile, stacks, 1);
	if (!err)
		err = GROW(profile, labels, 1);
	if (!err)
		err = GROW(profile, comments, 1);
	if (!err && !(profile->values = calloc(1, sizeof(*profile->values))))
		err = cprof_error_no_memory();
	return err;
}

struct cprof_error *cprof_profile_new(struct cprof_profile **ret_profile)
{
	struct cprof_profile *profile = calloc(1, sizeof(*profile));
	if (!profile)
		return cprof_error_no_memory();
	struct cprof_error *err = cprof_intern_init(&profile->strings);
	if (!err)
		err = make_room(profile);
	if (err) {
		cprof_profile_free(profile);
		return err;
	}
	*ret_profile = profile;
	return NULL;
}

struct cprof_error *cprof_profile_add_type(struct cprof_profile *profile, const char *type,
					   const char *unit)
{
	struct cprof_value_type added;
	struct cprof_error *err = cprof_profile_string(profile, type, &added.type);
	if (!err)
		err = cprof_profile_string(profile, unit, &added.unit);
	if (err)
		return err;
	void *types = reallocarray(profile->types, profile->n_types + 1, sizeof(added));
	if (!types)
		return cprof_error_no_memory();
	profile->types = types;
	profile->types[profile->n_types++] = added;
	return NULL;
}

struct cprof_error *cprof_profile_add_mapping(struct cprof_profile *profile,
					      const struct cprof_mapping *mapping,
					      uint32_t *ret_number)
{
	struct cprof_error *err = GROW(profile, mappings, 1);
	if (err)
		return err;
	profile->mappings[profile->n_mappings++] = *mapping;
	if (ret_number)
		*ret_number = profile->n_mappings;
	return NULL;
}

struct cprof_error *cprof_profile_add_function(struct cprof_profile *profile,
					       const struct cprof_function *function,
					       uint32_t *ret_index)
{
	struct cprof_error *err = GROW(profile, functions, 1);
	if (err)
		return err;
	profile->functions[profile->n_functions] = *function;
	if (ret_index)
		*ret_index = profile->n_functions;
	profile->n_functions++;
	return NULL;
}

static uint64_t hash_function(const struct cprof_function *f)
{
	uint64_t hash = cprof_hash_mix(f->name, f->system_name);
	return cprof_hash_mix(cprof_hash_mix(hash, f->filename), (uint64_t)f->start_line);
}

static bool same_function(const struct cprof_function *a, const struct cprof_function *b)
{
	return a->name == b->name && a->system_name == b->system_name &&
	       a->filename == b->filename && a->start_line == b->start_line;
}

struct cprof_error *cprof_profile_function(struct cprof_profile *profile,
					   const struct cprof_function *function,
					   uint32_t *ret_index)
{
	/* Unequal functions with one hash go on to the next: a chain of hashes instead of pointers. */
	for (uint64_t hash = hash_function(function);; hash = cprof_hash_mix(hash, 1)) {
		bool added;
		uint64_t *place = cprof_map64_put(&profile->function_map, hash, &added);
		if (!place)
			return cprof_error_no_memory();
		if (added || !*place) {
			uint32_t index;
			struct cprof_error *err =
				cprof_profile_add_function(profile, function, &index);
			if (err)
				return err;
			*place = (uint64_t)index + 1;
			*ret_index = index;
			return NULL;
		}
		if (same_function(&profile->functions[*place - 1], function)) {
			*ret_index = (uint32_t)(*place - 1);
			return NULL;
		}
	}
}

static struct cprof_error *append_lines(struct cprof_profile *profile,
					const struct cprof_line *lines, size_t n)
{
	struct cprof_error *err = GROW(profile, lines, n);
	if (err)
		return err;
	if (n)
		memcpy(profile->lines + profile->n_lines, lines, n * sizeof(*lines));
	profile->n_lines += (uint32_t)n;
	return NULL;
}

struct cprof_error *cprof_profile_add_location(struct cprof_profile *profile,
					       const struct cprof_location *location,
					       const struct cprof_line *lines, size_t n_lines,
					       uint32_t *ret_index)
{
	struct cprof_error *err = GROW(profile, locations, 1);
	if (err)
		return err;
	profile->locations[profile->n_locations] = *location;
	profile->locations[profile->n_locations].n_lines = 0;
	err = cprof_profile_set_lines(profile, profile->n_locations, lines, n_lines);
	if (err)
		return err;
	if (ret_index)
		*ret_index = profile->n_locations;
	profile->n_locations++;
	return NULL;
}

struct cprof_error *cprof_profile_set_lines(struct cprof_profile *profile, uint32_t location,
					    const struct cprof_line *lines, size_t n_lines)
{
	uint32_t first = profile->n_lines;
	struct cprof_error *err = append_lines(profile, lines, n_lines);
	if (err)
		return err;
	profile->locations[location].first_line = first;
	profile->locations[location].n_lines = (uint32_t)n_lines;
	return NULL;
}

void cprof_profile_keep_samples(struct cprof_profile *p, const bool *keep)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < p->n_samples; i++) {
		if (!keep[i])
			continue;
		p->samples[kept] = p->samples[i];
		memmove(p->values + (size_t)kept * p->n_types, p->values + (size_t)i * p->n_types,
			p->n_types * sizeof(*p->values));
		kept++;
	}
	p->n_samples = kept;
}

/* Samples and their values share one room counter, so they grow together. */
static struct cprof_error *grow_samples(struct cprof_profile *profile)
{
	uint32_t room = profile->room.samples;
	struct cprof_error *err = GROW(profile, samples, 1);
	if (err || profile->room.samples == room)
		return err;
	size_t row_bytes = profile->n_types * sizeof(*profile->values);
	void *values =
		reallocarray(profile->values, profile->room.samples, row_bytes ? row_bytes : 1);
	if (!values) {
		profile->room.samples = room;
		return cprof_error_no_memory();
	}
	profile->values = values;
	return NULL;
}

struct cprof_error *cprof_profile_add_sample(struct cprof_profile *profile, const uint32_t *stack,
					     size_t n_stack, const struct cprof_label *labels,
					     size_t n_labels, const int64_t *values)
{
	struct cprof_error *err = grow_samples(profile);
	if (!err)
		err = GROW(profile, stacks, n_stack);
	if (!err)
		err = GROW(profile, labels, n_labels);
	if (err)
		return err;
	profile->samples[profile->n_samples] = (struct cprof_sample){
		.first_location = profile->n_stacks,
		.n_locations = (uint32_t)n_stack,
		.first_label = profile->n_labels,
		.n_labels = (uint32_t)n_labels,
	};
	if (n_stack)
		memcpy(profile->stacks + profile->n_stacks, stack, n_stack * sizeof(*stack));
	if (n_labels)
		memcpy(profile->labels + profile->n_labels, labels, n_labels * sizeof(*labels));
	if (profile->n_types)
		memcpy(profile->values + (size_t)profile->n_samples * profile->n_types, values,
		       profile->n_types * sizeof(*values));
	profile->n_stacks += (uint32_t)n_stack;
	profile->n_labels += (uint32_t)n_labels;
	profile->n_samples++;
	return NULL;
}

struct cprof_error *cprof_profile_add_comment(struct cprof_profile *profile, const char *text)
{
	uint32_t string;
	struct cprof_error *err = cprof_profile_string(profile, text, &string);
	if (!err)
		err = GROW(profile, comments, 1);
	if (err)
		return err;
	profile->comments[profile->n_comments++] = string;
	return NULL;
}

struct cprof_error *cprof_profile_set_period(struct cprof_profile *profile, const char *type,
					     const char *unit, int64_t period)
{
	struct cprof_error *err = cprof_profile_string(profile, type, &profile->period_type.type);
	if (!err)
		err = cprof_profile_string(profile, unit, &profile->period_type.unit);
	if (!err)
		profile->period = period;
	return err;
}

struct cprof_error *cprof_profile_set_default_type(struct cprof_profile *profile, const char *type)
{
	return cprof_profile_string(profile, type, &profile->default_type);
}

uint32_t cprof_profile_default_type(const struct cprof_profile *profile)
{
	for (uint32_t i = 0; profile->default_type && i < profile->n_types; i++) {
		if (profile->types[i].type == profile->default_type)
			return i;
	}
	return profile->n_types ? profile->n_types - 1 : 0;
}
