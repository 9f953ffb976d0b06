/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/graph/label_groups.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static const struct cprof_label *find_label(const struct cprof_profile *p,
					    const struct cprof_sample *sample, uint32_t key)
{
	for (uint32_t i = 0; i < sample->n_labels; i++) {
		if (p->labels[sample->first_label + i].key == key)
			return &p->labels[sample->first_label + i];
	}
	return NULL;
}

static struct cprof_error *find_group(struct cprof_label_groups *groups, struct cprof_map64 *map,
				      const struct cprof_label *label, uint32_t *ret)
{
	static const struct cprof_label none = { 0 };
	label = label ? label : &none;
	uint64_t hash = label->is_num ? cprof_hash_mix((uint64_t)label->num, label->text)
				      : (uint64_t)label->text << 1 | (label->key != 0);
	uint64_t *place = cprof_map64_put(map, hash, NULL);
	if (!place)
		return cprof_error_no_memory();
	if (!*place) {
		struct cprof_error *err = cprof_profile_grow(
			&groups->values, groups->n, &groups->room, 1, sizeof(*groups->values));
		if (err)
			return err;
		groups->values[groups->n++] = *label;
		*place = groups->n;
	}
	*ret = (uint32_t)(*place - 1);
	return NULL;
}

struct cprof_error *cprof_label_groups_init(struct cprof_label_groups *groups,
					    const struct cprof_profile *profile, uint32_t key)
{
	*groups = (struct cprof_label_groups){ .profile = profile, .key = key };
	groups->group_of = calloc((size_t)profile->n_samples + 1, sizeof(*groups->group_of));
	if (!groups->group_of)
		return cprof_error_no_memory();
	struct cprof_map64 map = { 0 };
	struct cprof_error *err = NULL;
	for (uint32_t i = 0; !err && i < profile->n_samples; i++)
		err = find_group(groups, &map, find_label(profile, &profile->samples[i], key),
				 &groups->group_of[i]);
	cprof_map64_deinit(&map);
	return err;
}

void cprof_label_groups_deinit(struct cprof_label_groups *groups)
{
	free(groups->group_of);
	free(groups->values);
	*groups = (struct cprof_label_groups){ 0 };
}

void cprof_label_groups_name(const struct cprof_label_groups *groups, uint32_t group,
			     struct cprof_buffer *out)
{
	const struct cprof_label *value = &groups->values[group];
	const char *text = cprof_profile_text(groups->profile, value->text);
	if (!value->key)
		cprof_buffer_puts(out, "(none)");
	else if (!value->is_num)
		cprof_buffer_puts(out, text);
	else
		cprof_buffer_printf(out, "%" PRId64 "%s%s", value->num, *text ? " " : "", text);
}

struct key_count {
	uint32_t key, n;
};

static int compare_counts(const void *a, const void *b)
{
	const struct key_count *x = a, *y = b;
	if (x->n != y->n)
		return x->n > y->n ? -1 : 1;
	return (x->key > y->key) - (x->key < y->key);
}

struct cprof_error *cprof_label_groups_keys(const struct cprof_profile *profile,
					    uint32_t **ret_keys, uint32_t *ret_n)
{
	size_t n_strings = profile->strings.len;
	CPROF_AUTO(free) struct key_count *counts = calloc(n_strings + 1, sizeof(*counts));
	CPROF_AUTO(free) uint32_t *keys = calloc(n_strings + 1, sizeof(*keys));
	if (!counts || !keys)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < profile->n_labels; i++)
		counts[profile->labels[i].key] =
			(struct key_count){ profile->labels[i].key,
					    counts[profile->labels[i].key].n + 1 };
	qsort(counts, n_strings, sizeof(*counts), compare_counts);
	uint32_t n = 0;
	for (size_t i = 0; i < n_strings && counts[i].n; i++) {
		const char *name = cprof_profile_text(profile, counts[i].key);
		if (strncmp(name, "pprof::", 7) != 0)
			keys[n++] = counts[i].key;
	}
	*ret_n = n;
	*ret_keys = keys;
	keys = NULL;
	return NULL;
}
