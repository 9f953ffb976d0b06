/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/report/tag_frames.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/profile/measure.h"
#include "convert/report/filter_pattern.h"
#include "cprof/hash.h"

/* Pseudo frames for tags: location of (key, values), made on first sight. */
struct tag_frames {
	struct cprof_profile *profile;
	const char *unit;
	struct cprof_map64 locations; /* key << 32 | values -> location + 1 */
	struct cprof_buffer text;
};

/* The values of `key` in a sample, comma-separated, into f->text; false where it has none. */
static bool tag_values(struct tag_frames *f, const struct cprof_sample *sample, const char *key)
{
	const struct cprof_profile *p = f->profile;
	const struct cprof_label *labels = p->labels + sample->first_label;
	bool any = false, any_unit = false;
	f->text.len = 0;
	cprof_buffer_puts(&f->text, ""); /* a sample without the key gets an empty name */
	for (uint32_t i = 0; i < sample->n_labels; i++)
		any_unit = any_unit || (labels[i].is_num && labels[i].text &&
					strcmp(cprof_profile_text(p, labels[i].key), key) == 0);
	for (int numbers = 0; numbers < 2; numbers++) {
		for (uint32_t i = 0; i < sample->n_labels; i++) {
			if (labels[i].is_num != (numbers == 1) ||
			    strcmp(cprof_profile_text(p, labels[i].key), key) != 0)
				continue;
			if (any)
				cprof_buffer_putc(&f->text, ',');
			any = true;
			const char *own = cprof_profile_text(p, labels[i].text);
			if (labels[i].is_num)
				cprof_measure_label(&f->text, labels[i].num, any_unit ? own : "",
						    any_unit ? f->unit : "");
			else
				cprof_buffer_puts(&f->text, own);
		}
	}
	return any;
}

static struct cprof_error *tag_location(struct tag_frames *f, const char *key, const char *values,
					uint32_t *ret)
{
	struct cprof_function function = { 0 };
	struct cprof_error *err = cprof_profile_string(f->profile, values, &function.name);
	if (!err)
		err = cprof_profile_string(f->profile, key, &function.filename);
	if (err)
		return err;
	uint64_t *place = cprof_map64_put(&f->locations,
					  (uint64_t)function.filename << 32 | function.name, NULL);
	if (!place)
		return cprof_error_no_memory();
	if (!*place) {
		struct cprof_line line = { 0 };
		struct cprof_location location = { 0 };
		uint32_t index;
		err = cprof_profile_add_function(f->profile, &function, &line.function);
		if (!err)
			err = cprof_profile_add_location(f->profile, &location, &line, 1, &index);
		if (err)
			return err;
		*place = (uint64_t)index + 1;
	}
	*ret = (uint32_t)(*place - 1);
	return NULL;
}

/* Frames for the comma-separated `keys` at `stack`, the last key leafmost; counts them. */
static struct cprof_error *put_frames(struct tag_frames *f, const struct cprof_sample *sample,
				      const char *keys, uint32_t *stack, uint32_t *ret_n, bool *hit)
{
	*ret_n = 0;
	for (const char *end = strchr(keys, 0); end > keys;) {
		const char *comma = memrchr(keys, ',', (size_t)(end - keys));
		const char *start = comma ? comma + 1 : keys;
		CPROF_AUTO(free) char *key = strndup(start, (size_t)(end - start));
		if (!key)
			return cprof_error_no_memory();
		if (*key) {
			*hit = tag_values(f, sample, key) || *hit;
			struct cprof_error *err = tag_location(f, key, cprof_buffer_text(&f->text),
							       &stack[(*ret_n)++]);
			if (err)
				return err;
		}
		end = comma ? comma : keys;
	}
	return NULL;
}

static size_t count_keys(const char *keys)
{
	size_t n = 1;
	for (; *keys; keys++)
		n += *keys == ',';
	return n;
}

static struct cprof_error *add_frames(struct tag_frames *f, const struct cprof_config *config,
				      bool *root_hit, bool *leaf_hit)
{
	struct cprof_profile *p = f->profile;
	size_t extra = count_keys(config->tagroot) + count_keys(config->tagleaf);
	size_t room = p->n_stacks + extra * p->n_samples;
	uint32_t *stacks = room > UINT32_MAX ? NULL : calloc(room + 1, sizeof(*stacks));
	if (!stacks)
		return cprof_error_no_memory();
	CPROF_AUTO(free) uint32_t *roots = calloc(extra, sizeof(*roots));
	uint32_t n = 0, added, n_roots;
	struct cprof_error *err = roots ? NULL : cprof_error_no_memory();
	for (uint32_t i = 0; !err && i < p->n_samples; i++) {
		struct cprof_sample *sample = &p->samples[i];
		uint32_t first = n;
		/* Roots are made first, as pprof does it: -raw shows in which order locations came. */
		err = put_frames(f, sample, config->tagroot, roots, &n_roots, root_hit);
		if (!err)
			err = put_frames(f, sample, config->tagleaf, stacks + n, &added, leaf_hit);
		if (err)
			break;
		n += added;
		if (sample->n_locations)
			memcpy(stacks + n, p->stacks + sample->first_location,
			       sample->n_locations * sizeof(*stacks));
		n += sample->n_locations;
		memcpy(stacks + n, roots, n_roots * sizeof(*roots));
		n += n_roots;
		sample->first_location = first;
		sample->n_locations = n - first;
	}
	free(p->stacks);
	p->stacks = stacks;
	p->n_stacks = n;
	p->room.stacks = (uint32_t)room;
	return err;
}

struct cprof_error *cprof_tag_frames_add(struct cprof_profile *profile,
					 const struct cprof_config *config,
					 struct cprof_buffer *warnings)
{
	if (!*config->tagroot && !*config->tagleaf)
		return NULL;
	struct tag_frames f = { .profile = profile, .unit = config->unit };
	bool root_hit = false, leaf_hit = false;
	struct cprof_error *err = add_frames(&f, config, &root_hit, &leaf_hit);
	if (!err) {
		cprof_filter_pattern_warn(warnings, !*config->tagroot || root_hit, "TagRoot");
		cprof_filter_pattern_warn(warnings, !*config->tagleaf || leaf_hit, "TagLeaf");
	}
	cprof_map64_deinit(&f.locations);
	cprof_buffer_deinit(&f.text);
	return err;
}
