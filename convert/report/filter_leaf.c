/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/report/filter_leaf.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/report/filter_pattern.h"
#include "cprof/buffer.h"

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

struct cprof_error *cprof_filter_leaf_drop(struct cprof_profile *profile)
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

struct cprof_error *cprof_filter_leaf_prune(struct cprof_profile *p, const char *pattern)
{
	if (!*pattern)
		return NULL;
	CPROF_AUTO(regex) struct cprof_regex *regex = NULL;
	struct cprof_error *err = cprof_filter_pattern_parse("prune_from", pattern, &regex);
	if (err)
		return err;
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
