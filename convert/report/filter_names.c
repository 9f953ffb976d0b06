/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/report/filter_names.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "convert/report/filter_pattern.h"

static bool match_line(struct cprof_filter_pattern *pattern, const struct cprof_line *line)
{
	const struct cprof_function *function = &pattern->profile->functions[line->function];
	return cprof_filter_pattern_match(pattern, function->name) ||
	       cprof_filter_pattern_match(pattern, function->filename);
}

static bool match_mapping(struct cprof_filter_pattern *pattern,
			  const struct cprof_location *location)
{
	return location->mapping &&
	       cprof_filter_pattern_match(
		       pattern, pattern->profile->mappings[location->mapping - 1].filename);
}

static bool match_location(struct cprof_filter_pattern *pattern,
			   const struct cprof_location *location)
{
	const struct cprof_line *lines = pattern->profile->lines + location->first_line;
	for (uint32_t i = 0; i < location->n_lines; i++) {
		if (match_line(pattern, &lines[i]))
			return true;
	}
	return match_mapping(pattern, location);
}

/* What focus, ignore, hide and show say of a location. */
enum { FOCUSED = 1, IGNORED = 2, HIDDEN = 4 };

struct by_name {
	struct cprof_filter_pattern focus, ignore, hide, show;
	bool focus_hit, ignore_hit, hide_hit, show_hit;
	uint8_t *marks; /* one a location */
	bool any_hidden;
};

/* Keep only the lines for which hide says no and show says yes; false where none is left. */
static bool cut_lines(struct by_name *f, struct cprof_profile *p, struct cprof_location *location)
{
	bool whole_hidden = f->hide.regex && match_mapping(&f->hide, location);
	bool whole_shown = !f->show.regex || match_mapping(&f->show, location);
	if (f->hide.regex && match_location(&f->hide, location))
		f->hide_hit = true;
	else if (!f->show.regex)
		return true;
	uint32_t kept = 0;
	for (uint32_t i = 0; i < location->n_lines; i++) {
		struct cprof_line *line = &p->lines[location->first_line + i];
		if (whole_hidden || (f->hide.regex && match_line(&f->hide, line)))
			continue;
		if (!whole_shown && !match_line(&f->show, line))
			continue;
		p->lines[location->first_line + kept++] = *line;
	}
	location->n_lines = kept;
	f->show_hit = f->show_hit || (f->show.regex && kept);
	return kept > 0;
}

static void mark_locations(struct by_name *f, struct cprof_profile *p)
{
	for (uint32_t i = 0; i < p->n_locations; i++) {
		struct cprof_location *location = &p->locations[i];
		if (f->ignore.regex && match_location(&f->ignore, location)) {
			f->ignore_hit = true;
			f->marks[i] = IGNORED;
		} else if (!f->focus.regex || match_location(&f->focus, location)) {
			f->focus_hit = true;
			f->marks[i] = FOCUSED;
		}
		if ((f->hide.regex || f->show.regex) && !cut_lines(f, p, location)) {
			f->marks[i] |= HIDDEN;
			f->any_hidden = true;
		}
	}
}

static bool wanted(const struct by_name *f, const struct cprof_profile *p,
		   const struct cprof_sample *sample)
{
	bool focused = false;
	for (uint32_t i = 0; i < sample->n_locations; i++) {
		uint8_t mark = f->marks[p->stacks[sample->first_location + i]];
		if (mark & IGNORED)
			return false;
		focused = focused || (mark & FOCUSED);
	}
	return focused;
}

/* Take hidden locations out of a stack; false where nothing is left. */
static bool cut_stack(const struct by_name *f, struct cprof_profile *p, struct cprof_sample *sample)
{
	uint32_t kept = 0, *stack = p->stacks + sample->first_location;
	for (uint32_t i = 0; i < sample->n_locations; i++) {
		if (!(f->marks[stack[i]] & HIDDEN))
			stack[kept++] = stack[i];
	}
	sample->n_locations = kept;
	return kept > 0;
}

static struct cprof_error *run_by_name(struct by_name *f, struct cprof_profile *p)
{
	f->marks = calloc((size_t)p->n_locations + 1, 1);
	CPROF_AUTO(free) bool *keep = calloc((size_t)p->n_samples + 1, sizeof(*keep));
	if (!f->marks || !keep)
		return cprof_error_no_memory();
	mark_locations(f, p);
	for (uint32_t i = 0; i < p->n_samples; i++)
		keep[i] = wanted(f, p, &p->samples[i]) &&
			  (!f->any_hidden || cut_stack(f, p, &p->samples[i]));
	cprof_profile_keep_samples(p, keep);
	struct cprof_filter_pattern *all[] = { &f->focus, &f->ignore, &f->hide, &f->show };
	for (size_t i = 0; i < 4; i++) {
		struct cprof_error *err = cprof_regex_error(all[i]->regex);
		if (err)
			return err;
	}
	return NULL;
}

static struct cprof_error *filter_by_name(struct cprof_profile *p,
					  const struct cprof_config *config,
					  struct cprof_buffer *warnings)
{
	struct by_name f = { 0 };
	if (!*config->focus && !*config->ignore && !*config->hide && !*config->show)
		return NULL;
	struct cprof_error *err = cprof_filter_pattern_init(&f.focus, p, "focus", config->focus);
	if (!err)
		err = cprof_filter_pattern_init(&f.ignore, p, "ignore", config->ignore);
	if (!err)
		err = cprof_filter_pattern_init(&f.hide, p, "hide", config->hide);
	if (!err)
		err = cprof_filter_pattern_init(&f.show, p, "show", config->show);
	if (!err)
		err = run_by_name(&f, p);
	if (!err) {
		cprof_filter_pattern_warn(warnings, !f.focus.regex || f.focus_hit, "Focus");
		cprof_filter_pattern_warn(warnings, !f.ignore.regex || f.ignore_hit, "Ignore");
		cprof_filter_pattern_warn(warnings, !f.hide.regex || f.hide_hit, "Hide");
		cprof_filter_pattern_warn(warnings, !f.show.regex || f.show_hit, "Show");
	}
	cprof_filter_pattern_deinit(&f.focus);
	cprof_filter_pattern_deinit(&f.ignore);
	cprof_filter_pattern_deinit(&f.hide);
	cprof_filter_pattern_deinit(&f.show);
	free(f.marks);
	return err;
}

/* Mark a location that show_from stops at, and cut the lines that call the outermost match. */
static bool show_from_location(struct cprof_filter_pattern *pattern,
			       struct cprof_location *location)
{
	if (match_mapping(pattern, location))
		return true;
	for (uint32_t i = location->n_lines; i-- > 0;) {
		if (match_line(pattern, &pattern->profile->lines[location->first_line + i])) {
			location->n_lines = i + 1;
			return true;
		}
	}
	return false;
}

static struct cprof_error *show_from(struct cprof_profile *p, const char *pattern,
				     struct cprof_buffer *warnings)
{
	if (!*pattern)
		return NULL;
	struct cprof_filter_pattern match;
	struct cprof_error *err = cprof_filter_pattern_init(&match, p, "show_from", pattern);
	CPROF_AUTO(free) bool *stops = calloc((size_t)p->n_locations + 1, sizeof(*stops));
	CPROF_AUTO(free) bool *keep = calloc((size_t)p->n_samples + 1, sizeof(*keep));
	if (!err && (!stops || !keep))
		err = cprof_error_no_memory();
	bool hit = false;
	for (uint32_t i = 0; !err && i < p->n_locations; i++) {
		stops[i] = show_from_location(&match, &p->locations[i]);
		hit = hit || stops[i];
	}
	for (uint32_t i = 0; !err && i < p->n_samples; i++) {
		struct cprof_sample *sample = &p->samples[i];
		uint32_t n = sample->n_locations;
		while (n > 0 && !stops[p->stacks[sample->first_location + n - 1]])
			n--;
		keep[i] = n > 0;
		sample->n_locations = n;
	}
	if (!err) {
		cprof_profile_keep_samples(p, keep);
		cprof_filter_pattern_warn(warnings, hit, "ShowFrom");
		err = cprof_regex_error(match.regex);
	}
	cprof_filter_pattern_deinit(&match);
	return err;
}

struct cprof_error *cprof_filter_names_apply(struct cprof_profile *profile,
					     const struct cprof_config *config,
					     struct cprof_buffer *warnings)
{
	struct cprof_error *err = filter_by_name(profile, config, warnings);
	return err ? err : show_from(profile, config->show_from, warnings);
}
