/*
 * convert/report/filter_frames.c - frames cut off at the leaf (drop_frames, prune_from), frames added for tags,
 * and frames made coarser (granularity).
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/report/filter_parts.h"
#include "convert/profile/measure.h"

/* How long the name is without its arguments: up to the first '(' that begins an argument list. */
static size_t simple_length(const char *name)
{
	static const char *const harmless[] = { "(anonymous namespace)", "operator()" };
	size_t n = 0;
	while (name[n]) {
		size_t skip = 1;
		for (size_t i = 0; i < 2; i++) {
			if (strncmp(name + n, harmless[i], strlen(harmless[i])) == 0)
				skip = strlen(harmless[i]);
		}
		if (skip == 1 && name[n] == '(')
			break;
		n += skip;
	}
	return n;
}

static bool match_simple(const struct cprof_profile *p, struct cprof_regex *regex,
			 const struct cprof_line *line)
{
	const char *name = cprof_profile_text(p, p->functions[line->function].name);
	name += *name == '.'; /* PowerPC's entry points */
	return *name && cprof_regex_match_bytes(regex, name, simple_length(name));
}

/* What drop_frames says of a location. */
enum { CUT_HERE = 1 /* this location and all it calls */, CUT_BELOW = 2 /* what it calls */ };

static uint8_t mark_drop(struct cprof_profile *p, struct cprof_location *location,
			 struct cprof_regex *drop, struct cprof_regex *keep)
{
	for (uint32_t i = location->n_lines; i-- > 0;) {
		const struct cprof_line *line = &p->lines[location->first_line + i];
		if (!match_simple(p, drop, line) || (keep && match_simple(p, keep, line)))
			continue;
		if (i == location->n_lines - 1)
			return CUT_HERE | CUT_BELOW;
		location->first_line += i + 1;
		location->n_lines -= i + 1;
		return CUT_BELOW;
	}
	return 0;
}

static void cut_dropped(const struct cprof_profile *p, struct cprof_sample *sample,
			const uint8_t *marks)
{
	bool user = false; /* a frame nearer the root that stays; before it nothing is cut */
	for (uint32_t i = sample->n_locations; i-- > 0;) {
		uint8_t mark = marks[p->stacks[sample->first_location + i]];
		if (!mark) {
			user = true;
		} else if (user) {
			uint32_t cut = i + (mark & CUT_HERE ? 1 : 0);
			sample->first_location += cut;
			sample->n_locations -= cut;
			return;
		}
	}
}

static struct cprof_error *whole_regex(const struct cprof_profile *p, uint32_t string,
				       const char *what, struct cprof_regex **ret)
{
	struct cprof_buffer text = { 0 };
	cprof_buffer_printf(&text, "^(%s)$", cprof_profile_text(p, string));
	struct cprof_error *err = cprof_buffer_error(&text);
	if (!err)
		err = cprof_regex_new(cprof_buffer_text(&text), ret);
	cprof_buffer_deinit(&text);
	return err ? cprof_error_wrap(err, "the profile's %s", what) : NULL;
}

struct cprof_error *cprof_filter_drop_frames(struct cprof_profile *profile)
{
	if (!profile->drop_frames)
		return NULL;
	CPROF_AUTO(regex) struct cprof_regex *drop = NULL;
	CPROF_AUTO(regex) struct cprof_regex *keep = NULL;
	CPROF_AUTO(free) uint8_t *marks = calloc((size_t)profile->n_locations + 1, 1);
	struct cprof_error *err = marks ? NULL : cprof_error_no_memory();
	if (!err)
		err = whole_regex(profile, profile->drop_frames, "drop_frames", &drop);
	if (!err && profile->keep_frames)
		err = whole_regex(profile, profile->keep_frames, "keep_frames", &keep);
	if (err)
		return err;
	for (uint32_t i = 0; i < profile->n_locations; i++)
		marks[i] = mark_drop(profile, &profile->locations[i], drop, keep);
	for (uint32_t i = 0; i < profile->n_samples; i++)
		cut_dropped(profile, &profile->samples[i], marks);
	err = cprof_regex_error(drop);
	return err ? err : cprof_regex_error(keep);
}

struct cprof_error *cprof_filter_prune_from(struct cprof_profile *p, const char *pattern)
{
	if (!*pattern)
		return NULL;
	CPROF_AUTO(regex) struct cprof_regex *regex = NULL;
	struct cprof_error *err = cprof_regex_new(pattern, &regex);
	if (err)
		return cprof_error_wrap(err, "parsing prune_from regexp");
	CPROF_AUTO(free) bool *marks = calloc((size_t)p->n_locations + 1, sizeof(*marks));
	if (!marks)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < p->n_locations; i++) {
		struct cprof_location *location = &p->locations[i];
		for (uint32_t j = 0; !marks[i] && j < location->n_lines; j++) {
			if (!match_simple(p, regex, &p->lines[location->first_line + j]))
				continue;
			marks[i] = true;
			location->first_line += j;
			location->n_lines -= j;
		}
	}
	for (uint32_t i = 0; i < p->n_samples; i++) {
		struct cprof_sample *sample = &p->samples[i];
		uint32_t cut = 0;
		while (cut < sample->n_locations && !marks[p->stacks[sample->first_location + cut]])
			cut++;
		if (cut == sample->n_locations)
			continue;
		sample->first_location += cut;
		sample->n_locations -= cut;
	}
	return cprof_regex_error(regex);
}

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

struct cprof_error *cprof_filter_tag_frames(struct cprof_profile *profile,
					    const struct cprof_config *config,
					    struct cprof_buffer *warnings)
{
	if (!*config->tagroot && !*config->tagleaf)
		return NULL;
	struct tag_frames f = { .profile = profile, .unit = config->unit };
	bool root_hit = false, leaf_hit = false;
	struct cprof_error *err = add_frames(&f, config, &root_hit, &leaf_hit);
	if (!err) {
		cprof_filter_warn(warnings, !*config->tagroot || root_hit, "TagRoot");
		cprof_filter_warn(warnings, !*config->tagleaf || leaf_hit, "TagLeaf");
	}
	cprof_map64_deinit(&f.locations);
	cprof_buffer_deinit(&f.text);
	return err;
}

void cprof_filter_aggregate(struct cprof_profile *p, const struct cprof_config *config)
{
	enum cprof_granularity by = config->granularity;
	bool inlines = !config->noinlines, address = by == CPROF_BY_ADDRESS;
	bool function = by != CPROF_BY_FILE, file = by != CPROF_BY_FUNCTION;
	bool line = by == CPROF_BY_LINE || address;
	for (uint32_t i = 0; i < p->n_mappings; i++) {
		struct cprof_mapping *mapping = &p->mappings[i];
		mapping->has_inline_frames = mapping->has_inline_frames && inlines;
		mapping->has_functions = mapping->has_functions && function;
		mapping->has_filenames = mapping->has_filenames && file;
		mapping->has_line_numbers = mapping->has_line_numbers && line;
	}
	for (uint32_t i = 0; i < p->n_functions; i++) {
		struct cprof_function *f = &p->functions[i];
		if (!function)
			f->name = f->system_name = 0;
		if (!file)
			f->filename = 0;
	}
	for (uint32_t i = 0; i < p->n_locations; i++) {
		struct cprof_location *location = &p->locations[i];
		if (!inlines && location->n_lines > 1) {
			location->first_line += location->n_lines - 1;
			location->n_lines = 1;
		}
		if (!address)
			location->address = 0;
		for (uint32_t j = 0; j < location->n_lines; j++) {
			struct cprof_line *at = &p->lines[location->first_line + j];
			if (!line)
				at->line = 0;
			if (!line || !config->showcolumns)
				at->column = 0;
		}
	}
}
