/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/report/filter_tags.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "convert/profile/measure.h"
#include "convert/report/filter_pattern.h"

/* What a tagfocus or tagignore text says: a range, or expressions that must all match. */
struct tag_filter {
	char *key; /* owned; NULL where any key will do */
	bool is_range, has_low, has_high;
	double low, high;
	char unit[32];
	struct cprof_regex **regexes; /* owned */
	size_t n_regexes, cap_regexes;
};

struct number {
	const char *start, *end; /* the whole of it in the text */
	int64_t value;
	char unit[32];
};

/* The next "[+-]digits[letters]" in `text`. */
static bool find_number(const char *text, struct number *ret)
{
	for (; *text; text++) {
		const char *digits = text + (*text == '+' || *text == '-');
		if (!isdigit((unsigned char)*digits))
			continue;
		char *end;
		errno = 0;
		*ret = (struct number){ .start = text, .value = strtoll(text, &end, 10) };
		size_t n = 0;
		while (isalpha((unsigned char)end[n]))
			n++;
		if (errno || n >= sizeof(ret->unit))
			return false;
		memcpy(ret->unit, end, n);
		ret->end = end + n;
		return true;
	}
	return false;
}

/* "N", "N:", ":N" or "N:M". False where the text is none of these, and then it is an expression. */
static bool parse_range(const char *text, struct tag_filter *filter)
{
	struct number low, high;
	if (!find_number(text, &low))
		return false;
	struct cprof_measure scaled = cprof_measure_scale(low.value, low.unit, low.unit);
	strncpy(filter->unit, scaled.unit, sizeof(filter->unit) - 1);
	filter->low = filter->high = scaled.value;
	filter->has_low = filter->has_high = true;
	if (find_number(low.end, &high)) {
		struct cprof_measure top = cprof_measure_scale(high.value, high.unit, filter->unit);
		filter->high = top.value;
		return low.start == text && *low.end == ':' && high.start == low.end + 1 &&
		       !*high.end && strcmp(top.unit, filter->unit) == 0;
	}
	if (low.start == text && !*low.end)
		return true;
	filter->has_high = false;
	if (low.start == text && strcmp(low.end, ":") == 0)
		return true;
	filter->has_high = true;
	filter->has_low = false;
	return low.start == text + 1 && *text == ':' && !*low.end;
}

static bool in_range(const struct tag_filter *filter, int64_t value, const char *unit)
{
	struct cprof_measure scaled = cprof_measure_scale(value, unit, filter->unit);
	return strcmp(scaled.unit, filter->unit) == 0 &&
	       (!filter->has_low || scaled.value >= filter->low) &&
	       (!filter->has_high || scaled.value <= filter->high);
}

static void filter_deinit(struct tag_filter *filter)
{
	for (size_t i = 0; i < filter->n_regexes; i++)
		cprof_regex_free(filter->regexes[i]);
	free(filter->regexes);
	free(filter->key);
}

static struct cprof_error *parse_regexes(const char *option, const char *text,
					 struct tag_filter *filter)
{
	for (;;) {
		size_t n = strcspn(text, ",");
		CPROF_AUTO(free) char *part = strndup(text, n);
		if (!part ||
		    !CPROF_ARRAY_ROOM(filter->regexes, filter->n_regexes, filter->cap_regexes, 1))
			return cprof_error_no_memory();
		struct cprof_error *err = cprof_filter_pattern_parse(
			option, part, &filter->regexes[filter->n_regexes]);
		if (err)
			return err;
		filter->n_regexes++;
		if (!text[n])
			return NULL;
		text += n + 1;
	}
}

static struct cprof_error *parse_filter(const char *option, const char *text,
					struct tag_filter *filter, struct cprof_buffer *warnings)
{
	const char *equals = strchr(text, '=');
	if (equals) {
		filter->key = strndup(text, (size_t)(equals - text));
		if (!filter->key)
			return cprof_error_no_memory();
		if (!*filter->key) {
			free(filter->key);
			filter->key = NULL;
		}
		text = equals + 1;
	}
	filter->is_range = parse_range(text, filter);
	if (!filter->is_range)
		return parse_regexes(option, text, filter);
	cprof_buffer_printf(warnings, "%s:Interpreted '%s' as range, not regexp\n", option, text);
	return NULL;
}

struct tag_context {
	const struct cprof_profile *profile;
	const struct cprof_label_units *units;
	struct cprof_buffer text; /* "key:value" */
};

static bool has_number(struct tag_context *c, const struct tag_filter *filter,
		       const struct cprof_label *labels, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct cprof_label *label = &labels[i];
		if (!label->is_num ||
		    (filter->key &&
		     strcmp(filter->key, cprof_profile_text(c->profile, label->key)) != 0))
			continue;
		if (in_range(filter, label->num, cprof_label_units_get(c->units, label->key)))
			return true;
	}
	return false;
}

static bool has_text(struct tag_context *c, struct cprof_regex *regex, const char *key,
		     const struct cprof_label *labels, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const char *own = cprof_profile_text(c->profile, labels[i].key);
		if (labels[i].is_num || (key && strcmp(key, own) != 0))
			continue;
		c->text.len = 0;
		if (!key)
			cprof_buffer_printf(&c->text, "%s:", own);
		cprof_buffer_puts(&c->text, cprof_profile_text(c->profile, labels[i].text));
		if (cprof_regex_match(regex, cprof_buffer_text(&c->text)))
			return true;
	}
	return false;
}

static bool matches(struct tag_context *c, const struct tag_filter *filter,
		    const struct cprof_sample *sample)
{
	const struct cprof_label *labels = c->profile->labels + sample->first_label;
	if (filter->is_range)
		return has_number(c, filter, labels, sample->n_labels);
	/* Without a key every expression must match some tag; with one, any expression will do. */
	for (size_t i = 0; i < filter->n_regexes; i++) {
		bool hit = has_text(c, filter->regexes[i], filter->key, labels, sample->n_labels);
		if (hit == (filter->key != NULL))
			return hit;
	}
	return filter->key == NULL;
}

static struct cprof_error *filter_samples(struct cprof_profile *p,
					  const struct cprof_config *config, struct tag_context *c,
					  struct cprof_buffer *warnings)
{
	struct tag_filter focus = { 0 }, ignore = { 0 };
	bool focused = *config->tagfocus, ignored = *config->tagignore;
	bool focus_hit = false, ignore_hit = false;
	CPROF_AUTO(free) bool *keep = calloc((size_t)p->n_samples + 1, sizeof(*keep));
	struct cprof_error *err = keep ? NULL : cprof_error_no_memory();
	if (!err && focused)
		err = parse_filter("tagfocus", config->tagfocus, &focus, warnings);
	if (!err && ignored)
		err = parse_filter("tagignore", config->tagignore, &ignore, warnings);
	for (uint32_t i = 0; !err && i < p->n_samples; i++) {
		bool in = !focused || matches(c, &focus, &p->samples[i]);
		bool out = ignored && matches(c, &ignore, &p->samples[i]);
		focus_hit = focus_hit || in;
		ignore_hit = ignore_hit || out;
		keep[i] = in && !out;
	}
	if (!err && (focused || ignored))
		cprof_profile_keep_samples(p, keep);
	if (!err) {
		cprof_filter_pattern_warn(warnings, !focused || focus_hit, "TagFocus");
		cprof_filter_pattern_warn(warnings, !ignored || ignore_hit, "TagIgnore");
		err = cprof_buffer_error(&c->text);
	}
	filter_deinit(&focus);
	filter_deinit(&ignore);
	return err;
}

static struct cprof_error *filter_keys(struct cprof_profile *p, const struct cprof_config *config,
				       struct cprof_buffer *warnings)
{
	if (!*config->tagshow && !*config->taghide)
		return NULL;
	struct cprof_filter_pattern show = { 0 }, hide = { 0 };
	bool show_hit = false, hide_hit = false;
	struct cprof_error *err = cprof_filter_pattern_init(&show, p, "tagshow", config->tagshow);
	if (!err)
		err = cprof_filter_pattern_init(&hide, p, "taghide", config->taghide);
	for (uint32_t i = 0; !err && i < p->n_samples; i++) {
		struct cprof_sample *sample = &p->samples[i];
		struct cprof_label *labels = p->labels + sample->first_label;
		uint32_t kept = 0;
		for (uint32_t j = 0; j < sample->n_labels; j++) {
			bool in = !show.regex || cprof_filter_pattern_match(&show, labels[j].key);
			bool out = hide.regex && cprof_filter_pattern_match(&hide, labels[j].key);
			show_hit = show_hit || in;
			hide_hit = hide_hit || out;
			if (in && !out)
				labels[kept++] = labels[j];
		}
		sample->n_labels = kept;
	}
	if (!err) {
		cprof_filter_pattern_warn(warnings, !show.regex || show_hit, "TagShow");
		cprof_filter_pattern_warn(warnings, !hide.regex || hide_hit, "TagHide");
	}
	cprof_filter_pattern_deinit(&show);
	cprof_filter_pattern_deinit(&hide);
	return err;
}

struct cprof_error *cprof_filter_tags_apply(struct cprof_profile *profile,
					    const struct cprof_config *config,
					    const struct cprof_label_units *units,
					    struct cprof_buffer *warnings)
{
	struct tag_context c = { .profile = profile, .units = units };
	struct cprof_error *err = NULL;
	if (*config->tagfocus || *config->tagignore)
		err = filter_samples(profile, config, &c, warnings);
	if (!err)
		err = filter_keys(profile, config, warnings);
	cprof_buffer_deinit(&c.text);
	return err;
}
