/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/merge.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/profile/measure.h"
#include "convert/profile/merge_types.h"
#include "cprof/profile_scale.h"
#include "cprof/stack_table.h"

/* The profile being put together, and where the present source's things have gone in it. */
struct merger {
	struct cprof_profile *into;
	struct cprof_map64 locations, mappings, samples; /* hash -> index + 1; see find() */
	const struct cprof_profile *from;
	uint32_t *strings;   /* source's number -> ours + 1; 0: not met */
	uint32_t *functions; /* likewise for the rest */
	uint32_t *locations_of;
	uint32_t *mappings_of;
	uint64_t *slides; /* by source mapping: what its addresses move by */
	uint32_t *stack;
	uint32_t stack_room;
	struct cprof_label *labels;
	uint32_t labels_room;
	struct cprof_line *lines;
	uint32_t lines_room;
};

static struct cprof_error *map_string(struct merger *m, uint32_t from, uint32_t *ret)
{
	if (!m->strings[from]) {
		const struct cprof_intern_entry *entry = &m->from->strings.entries[from];
		uint32_t id;
		struct cprof_error *err =
			cprof_intern_bytes(&m->into->strings, entry->text, entry->len, &id);
		if (err)
			return err;
		m->strings[from] = id + 1;
	}
	*ret = m->strings[from] - 1;
	return NULL;
}

/* Programs are loaded page by page, so sizes are compared in pages. */
static uint64_t mapping_pages(const struct cprof_mapping *mapping)
{
	return (mapping->limit - mapping->start + 0xfff) / 0x1000;
}

static bool same_mapping(const struct cprof_mapping *a, const struct cprof_mapping *b)
{
	return mapping_pages(a) == mapping_pages(b) && a->offset == b->offset &&
	       (a->build_id ? a->build_id : a->filename) ==
		       (b->build_id ? b->build_id : b->filename);
}

static struct cprof_error *map_mapping(struct merger *m, uint32_t number, uint32_t *ret)
{
	if (number == 0 || m->mappings_of[number - 1]) {
		*ret = number ? m->mappings_of[number - 1] : 0;
		return NULL;
	}
	struct cprof_mapping mapping = m->from->mappings[number - 1];
	struct cprof_error *err = map_string(m, mapping.filename, &mapping.filename);
	if (!err)
		err = map_string(m, mapping.build_id, &mapping.build_id);
	if (err)
		return err;
	uint64_t hash = cprof_hash_mix(mapping_pages(&mapping), mapping.offset);
	hash = cprof_hash_mix(hash, mapping.build_id ? mapping.build_id : mapping.filename);
	for (;; hash = cprof_hash_u64(hash + 1)) {
		uint64_t *place = cprof_map64_put(&m->mappings, hash, NULL);
		if (!place)
			return cprof_error_no_memory();
		if (!*place) {
			uint32_t added;
			err = cprof_profile_add_mapping(m->into, &mapping, &added);
			if (err)
				return err;
			*place = added;
		}
		if (same_mapping(&m->into->mappings[*place - 1], &mapping)) {
			m->mappings_of[number - 1] = *ret = (uint32_t)*place;
			m->slides[number - 1] = m->into->mappings[*place - 1].start - mapping.start;
			return NULL;
		}
	}
}

static struct cprof_error *map_function(struct merger *m, uint32_t index, uint32_t *ret)
{
	if (!m->functions[index]) {
		struct cprof_function function = m->from->functions[index];
		uint32_t added;
		struct cprof_error *err = map_string(m, function.name, &function.name);
		if (!err)
			err = map_string(m, function.system_name, &function.system_name);
		if (!err)
			err = map_string(m, function.filename, &function.filename);
		if (!err)
			err = cprof_profile_function(m->into, &function, &added);
		if (err)
			return err;
		m->functions[index] = added + 1;
	}
	*ret = m->functions[index] - 1;
	return NULL;
}

static bool same_lines(const struct cprof_line *a, const struct cprof_line *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (a[i].function != b[i].function || a[i].line != b[i].line ||
		    a[i].column != b[i].column)
			return false;
	}
	return true;
}

static bool same_location(const struct cprof_profile *p, uint32_t index,
			  const struct cprof_location *location, const struct cprof_line *lines)
{
	const struct cprof_location *known = &p->locations[index];
	return known->address == location->address && known->mapping == location->mapping &&
	       known->is_folded == location->is_folded && known->n_lines == location->n_lines &&
	       same_lines(p->lines + known->first_line, lines, known->n_lines);
}

static uint64_t hash_location(const struct cprof_location *location, const struct cprof_line *lines)
{
	uint64_t hash = cprof_hash_mix(location->address,
				       (uint64_t)location->mapping << 1 | location->is_folded);
	for (uint32_t i = 0; i < location->n_lines; i++) {
		hash = cprof_hash_mix(hash, lines[i].function);
		hash = cprof_hash_mix(hash, (uint64_t)lines[i].line);
		hash = cprof_hash_mix(hash, (uint64_t)lines[i].column);
	}
	return hash;
}

static struct cprof_error *find_location(struct merger *m, const struct cprof_location *location,
					 uint32_t *ret)
{
	uint64_t hash = hash_location(location, m->lines);
	for (;; hash = cprof_hash_u64(hash + 1)) {
		uint64_t *place = cprof_map64_put(&m->locations, hash, NULL);
		if (!place)
			return cprof_error_no_memory();
		if (!*place) {
			uint32_t added;
			struct cprof_error *err = cprof_profile_add_location(
				m->into, location, m->lines, location->n_lines, &added);
			if (err)
				return err;
			*place = (uint64_t)added + 1;
		}
		if (same_location(m->into, (uint32_t)(*place - 1), location, m->lines)) {
			*ret = (uint32_t)(*place - 1);
			return NULL;
		}
	}
}

static struct cprof_error *map_location(struct merger *m, uint32_t index, uint32_t *ret)
{
	if (m->locations_of[index]) {
		*ret = m->locations_of[index] - 1;
		return NULL;
	}
	struct cprof_location location = m->from->locations[index];
	uint32_t number = location.mapping;
	struct cprof_error *err = map_mapping(m, number, &location.mapping);
	if (!err)
		err = cprof_profile_grow(&m->lines, 0, &m->lines_room, location.n_lines,
					 sizeof(*m->lines));
	if (err)
		return err;
	if (number)
		location.address += m->slides[number - 1];
	for (uint32_t i = 0; !err && i < location.n_lines; i++) {
		m->lines[i] = m->from->lines[location.first_line + i];
		err = map_function(m, m->lines[i].function, &m->lines[i].function);
	}
	if (!err)
		err = find_location(m, &location, ret);
	if (!err)
		m->locations_of[index] = *ret + 1;
	return err;
}

/* Text labels before numbers, by key; values of one key keep their order. Few labels: insertion sort. */
static bool label_before(const struct cprof_profile *p, const struct cprof_label *a,
			 const struct cprof_label *b)
{
	if (a->is_num != b->is_num)
		return b->is_num;
	return strcmp(cprof_profile_text(p, a->key), cprof_profile_text(p, b->key)) < 0;
}

static struct cprof_error *map_labels(struct merger *m, const struct cprof_sample *sample)
{
	struct cprof_error *err = cprof_profile_grow(&m->labels, 0, &m->labels_room,
						     sample->n_labels, sizeof(*m->labels));
	for (uint32_t i = 0; !err && i < sample->n_labels; i++) {
		struct cprof_label label = m->from->labels[sample->first_label + i];
		err = map_string(m, label.key, &label.key);
		if (!err)
			err = map_string(m, label.text, &label.text);
		if (err)
			break;
		uint32_t at = i;
		for (; at > 0 && label_before(m->into, &label, &m->labels[at - 1]); at--)
			m->labels[at] = m->labels[at - 1];
		m->labels[at] = label;
	}
	return err;
}

static bool same_sample(const struct merger *m, uint32_t index, const struct cprof_sample *sample)
{
	const struct cprof_sample *known = &m->into->samples[index];
	if (known->n_labels != sample->n_labels ||
	    !cprof_stack_equal(m->into->stacks + known->first_location, known->n_locations,
			       m->stack, sample->n_locations))
		return false;
	for (uint32_t i = 0; i < sample->n_labels; i++) {
		const struct cprof_label *a = &m->into->labels[known->first_label + i];
		const struct cprof_label *b = &m->labels[i];
		if (a->key != b->key || a->text != b->text || a->num != b->num ||
		    a->is_num != b->is_num)
			return false;
	}
	return true;
}

static uint64_t hash_sample(const struct merger *m, const struct cprof_sample *sample)
{
	uint64_t hash = cprof_stack_hash(m->stack, sample->n_locations);
	for (uint32_t i = 0; i < sample->n_labels; i++) {
		hash = cprof_hash_mix(hash, (uint64_t)m->labels[i].key << 32 | m->labels[i].text);
		hash = cprof_hash_mix(hash, (uint64_t)m->labels[i].num);
	}
	return hash;
}

static struct cprof_error *add_sample(struct merger *m, const struct cprof_sample *sample,
				      const int64_t *values)
{
	uint64_t hash = hash_sample(m, sample);
	for (;; hash = cprof_hash_u64(hash + 1)) {
		uint64_t *place = cprof_map64_put(&m->samples, hash, NULL);
		if (!place)
			return cprof_error_no_memory();
		if (!*place) {
			*place = (uint64_t)m->into->n_samples + 1;
			return cprof_profile_add_sample(m->into, m->stack, sample->n_locations,
							m->labels, sample->n_labels, values);
		}
		if (same_sample(m, (uint32_t)(*place - 1), sample)) {
			int64_t *sum = m->into->values + (*place - 1) * m->into->n_types;
			for (uint32_t t = 0; t < m->into->n_types; t++)
				sum[t] = cprof_measure_add(sum[t], values[t]);
			return NULL;
		}
	}
}

static bool is_zero(const int64_t *values, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (values[i])
			return false;
	}
	return true;
}

static struct cprof_error *map_sample(struct merger *m, uint32_t index)
{
	const struct cprof_sample *sample = &m->from->samples[index];
	const int64_t *values = m->from->values + (size_t)index * m->from->n_types;
	if (is_zero(values, m->from->n_types))
		return NULL;
	struct cprof_error *err = cprof_profile_grow(&m->stack, 0, &m->stack_room,
						     sample->n_locations, sizeof(*m->stack));
	for (uint32_t i = 0; !err && i < sample->n_locations; i++)
		err = map_location(m, m->from->stacks[sample->first_location + i], &m->stack[i]);
	if (!err)
		err = map_labels(m, sample);
	return err ? err : add_sample(m, sample, values);
}

static bool has_comment(const struct cprof_profile *p, uint32_t string)
{
	for (uint32_t i = 0; i < p->n_comments; i++) {
		if (p->comments[i] == string)
			return true;
	}
	return false;
}

static struct cprof_error *first_header(struct merger *m)
{
	const struct cprof_profile *from = m->from;
	struct cprof_error *err = NULL;
	for (uint32_t t = 0; !err && t < from->n_types; t++)
		err = cprof_profile_add_type(m->into, cprof_profile_text(from, from->types[t].type),
					     cprof_profile_text(from, from->types[t].unit));
	if (!err)
		err = map_string(m, from->drop_frames, &m->into->drop_frames);
	if (!err)
		err = map_string(m, from->keep_frames, &m->into->keep_frames);
	if (!err)
		err = map_string(m, from->period_type.type, &m->into->period_type.type);
	if (!err)
		err = map_string(m, from->period_type.unit, &m->into->period_type.unit);
	return err;
}

static struct cprof_error *merge_header(struct merger *m)
{
	const struct cprof_profile *from = m->from;
	struct cprof_profile *into = m->into;
	if (into->time_ns == 0 || from->time_ns < into->time_ns)
		into->time_ns = from->time_ns;
	into->duration_ns = cprof_measure_add(into->duration_ns, from->duration_ns);
	if (into->period == 0 || into->period < from->period)
		into->period = from->period;
	struct cprof_error *err = NULL;
	for (uint32_t i = 0; !err && i < from->n_comments; i++) {
		uint32_t comment;
		err = map_string(m, from->comments[i], &comment);
		if (!err && !has_comment(into, comment))
			err = cprof_profile_add_comment(into, cprof_profile_text(into, comment));
	}
	if (!err && !into->default_type)
		err = map_string(m, from->default_type, &into->default_type);
	if (!err && !into->doc_url)
		err = map_string(m, from->doc_url, &into->doc_url);
	return err;
}

static void free_remaps(struct merger *m)
{
	free(m->strings);
	free(m->functions);
	free(m->locations_of);
	free(m->mappings_of);
	free(m->slides);
	m->strings = m->functions = m->locations_of = m->mappings_of = NULL;
	m->slides = NULL;
}

static struct cprof_error *alloc_remaps(struct merger *m)
{
	m->strings = calloc(m->from->strings.len, sizeof(*m->strings));
	m->functions = calloc((size_t)m->from->n_functions + 1, sizeof(*m->functions));
	m->locations_of = calloc((size_t)m->from->n_locations + 1, sizeof(*m->locations_of));
	m->mappings_of = calloc((size_t)m->from->n_mappings + 1, sizeof(*m->mappings_of));
	m->slides = calloc((size_t)m->from->n_mappings + 1, sizeof(*m->slides));
	if (!m->strings || !m->functions || !m->locations_of || !m->mappings_of || !m->slides)
		return cprof_error_no_memory();
	return NULL;
}

static struct cprof_error *merge_one(struct merger *m, const struct cprof_profile *from, bool first)
{
	m->from = from;
	struct cprof_error *err = alloc_remaps(m);
	if (!err && first)
		err = first_header(m);
	if (!err)
		err = merge_header(m);
	/* The first mapping says what program this is, whether or not a sample lies in it. */
	uint32_t main_mapping;
	if (!err && m->into->n_mappings == 0 && from->n_mappings > 0)
		err = map_mapping(m, 1, &main_mapping);
	for (uint32_t i = 0; !err && i < from->n_samples; i++)
		err = map_sample(m, i);
	free_remaps(m);
	return err;
}

static void merger_deinit(struct merger *m)
{
	cprof_map64_deinit(&m->locations);
	cprof_map64_deinit(&m->mappings);
	cprof_map64_deinit(&m->samples);
	free(m->stack);
	free(m->labels);
	free(m->lines);
	cprof_profile_free(m->into);
}

static bool has_zero_sample(const struct cprof_profile *p)
{
	for (uint32_t i = 0; i < p->n_samples; i++) {
		if (is_zero(p->values + (size_t)i * p->n_types, p->n_types))
			return true;
	}
	return false;
}

static struct cprof_error *merge_all(struct cprof_profile **profiles, size_t n,
				     struct cprof_profile **ret_profile)
{
	struct merger m = { 0 };
	struct cprof_error *err = cprof_profile_new(&m.into);
	for (size_t i = 0; !err && i < n; i++) {
		err = merge_one(&m, profiles[i], i == 0);
		cprof_profile_free(cprof_take_ptr(&profiles[i]));
	}
	if (!err)
		*ret_profile = cprof_take_ptr(&m.into);
	merger_deinit(&m);
	return err;
}

struct cprof_error *cprof_merge(struct cprof_profile **profiles, size_t n,
				struct cprof_profile **ret_profile)
{
	struct cprof_profile *merged = NULL;
	struct cprof_error *err = cprof_merge_types_align(profiles, n);
	if (!err)
		err = merge_all(profiles, n, &merged);
	/* Where values cancelled out, go over it once more so that nothing unused stays. */
	if (!err && merged->n_types && has_zero_sample(merged))
		err = merge_all(&merged, 1, &merged);
	for (size_t i = 0; i < n; i++)
		cprof_profile_free(cprof_take_ptr(&profiles[i]));
	if (err) {
		cprof_profile_free(merged);
		return err;
	}
	*ret_profile = merged;
	return NULL;
}

struct cprof_error *cprof_merge_label_all(struct cprof_profile *profile, const char *key,
					  const char *value)
{
	struct cprof_label label = { 0 };
	struct cprof_error *err = cprof_profile_string(profile, key, &label.key);
	if (!err)
		err = cprof_profile_string(profile, value, &label.text);
	if (err)
		return err;
	size_t room = (size_t)profile->n_labels + profile->n_samples + 1;
	struct cprof_label *labels = room > UINT32_MAX ? NULL : calloc(room, sizeof(*labels));
	if (!labels)
		return cprof_error_no_memory();
	uint32_t n = 0;
	for (uint32_t i = 0; i < profile->n_samples; i++) {
		struct cprof_sample *sample = &profile->samples[i];
		uint32_t first = n;
		for (uint32_t j = 0; j < sample->n_labels; j++) {
			const struct cprof_label *old = &profile->labels[sample->first_label + j];
			if (old->is_num || old->key != label.key)
				labels[n++] = *old;
		}
		labels[n++] = label;
		sample->first_label = first;
		sample->n_labels = n - first;
	}
	free(profile->labels);
	profile->labels = labels;
	profile->n_labels = n;
	profile->room.labels = (uint32_t)room;
	return NULL;
}

struct cprof_error *cprof_merge_subtract(struct cprof_profile *pair[2], bool mark,
					 struct cprof_profile **ret_profile)
{
	struct cprof_error *err =
		mark ? cprof_merge_label_all(pair[1], "pprof::base", "true") : NULL;
	if (err) {
		cprof_profile_free(cprof_take_ptr(&pair[0]));
		cprof_profile_free(cprof_take_ptr(&pair[1]));
		return err;
	}
	cprof_profile_scale(pair[1], -1);
	return cprof_merge(pair, 2, ret_profile);
}
