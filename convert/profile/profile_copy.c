/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/profile/profile_copy.c - an independent copy of a profile: reports change theirs.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cprof/profile.h"

/* A copy of `n` entries in *pointer, which holds the original's address. */
static bool copy_array(void *pointer, size_t n, size_t entry_bytes)
{
	void *old;
	memcpy(&old, pointer, sizeof(old));
	void *copy = malloc(n * entry_bytes + 1);
	if (copy && n)
		memcpy(copy, old, n * entry_bytes);
	memcpy(pointer, &copy, sizeof(copy));
	return copy != NULL;
}

static struct cprof_error *copy_strings(const struct cprof_intern *from, struct cprof_intern *into)
{
	for (uint32_t i = 0; i < from->len; i++) {
		uint32_t same; /* ids are given in order, so it is i */
		struct cprof_error *err = cprof_intern_bytes(into, from->entries[i].text,
							     from->entries[i].len, &same);
		if (err)
			return err;
	}
	return NULL;
}

struct cprof_error *cprof_profile_copy(const struct cprof_profile *profile,
				       struct cprof_profile **ret_profile)
{
	/* Not by cprof_profile_new(): every array is replaced by a copy below. */
	CPROF_AUTO(profile) struct cprof_profile *copy = calloc(1, sizeof(*copy));
	struct cprof_intern strings;
	if (!copy)
		return cprof_error_no_memory();
	struct cprof_error *err = cprof_intern_init(&strings);
	if (!err)
		err = copy_strings(&profile->strings, &strings);
	if (err) {
		cprof_intern_deinit(&strings);
		return err;
	}
	*copy = *profile;
	copy->strings = strings;
	copy->function_map = (struct cprof_map64){ 0 };
	copy->room = (struct cprof_profile_room){ profile->n_mappings, profile->n_functions,
						  profile->n_lines,    profile->n_locations,
						  profile->n_samples,  profile->n_stacks,
						  profile->n_labels,   profile->n_comments };
	bool ok = true; /* all are tried, so that each pointer is the copy's own */
#define COPY(array, n) ok = copy_array(&copy->array, (n), sizeof(*copy->array)) && ok
	COPY(types, copy->n_types);
	COPY(mappings, copy->n_mappings);
	COPY(functions, copy->n_functions);
	COPY(lines, copy->n_lines);
	COPY(locations, copy->n_locations);
	COPY(samples, copy->n_samples);
	COPY(values, (size_t)copy->n_samples * copy->n_types);
	COPY(stacks, copy->n_stacks);
	COPY(labels, copy->n_labels);
	COPY(comments, copy->n_comments);
	if (copy->location_ids)
		COPY(location_ids, copy->n_location_ids);
	if (copy->mapping_ids)
		COPY(mapping_ids, copy->n_mapping_ids);
#undef COPY
	if (!ok)
		return cprof_error_no_memory();
	*ret_profile = cprof_take_ptr(&copy);
	return NULL;
}
