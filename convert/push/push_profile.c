/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/push/push_profile.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/own_label.h"
#include "cprof/merge.h"
#include "cprof/pprof_write.h"

#define PIECES_MAX 4096

void cprof_push_profiles_deinit(struct cprof_push_profiles *profiles)
{
	for (size_t i = 0; i < profiles->len; i++)
		cprof_profile_free(profiles->items[i]);
	free(profiles->items);
	*profiles = (struct cprof_push_profiles){ 0 };
}

/* Takes the profile. */
static struct cprof_error *append(struct cprof_push_profiles *profiles,
				  struct cprof_profile *profile)
{
	if (!CPROF_ARRAY_ROOM(profiles->items, profiles->len, profiles->cap, 1)) {
		cprof_profile_free(profile);
		return cprof_error_no_memory();
	}
	profiles->items[profiles->len++] = profile;
	return NULL;
}

/* ---- what kind ---- */

static bool has_type(const struct cprof_profile *profile, const char *type)
{
	for (uint32_t i = 0; i < profile->n_types; i++) {
		if (strcmp(cprof_profile_text(profile, profile->types[i].type), type) == 0)
			return true;
	}
	return false;
}

const char *cprof_push_profile_kind(const struct cprof_profile *profile, const char *file)
{
	static const struct {
		const char *type, *kind;
	} kinds[] = { { "parked", "block" },     { "cpu", "cpu" },
		      { "inuse_space", "heap" }, { "alloc_space", "heap" },
		      { "threads", "threads" },  { "goroutine", "threads" },
		      { "wall", "wall" } };
	if (file && has_type(profile, "contentions") && strstr(file, "block"))
		return "block";
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (has_type(profile, kinds[i].type))
			return kinds[i].kind;
	}
	if (has_type(profile, "contentions"))
		return "mutex";
	/* Another event of the processor: there are samples of it. */
	if (has_type(profile, "samples") || !profile->period_type.type)
		return "cpu";
	return cprof_profile_text(profile, profile->period_type.type);
}

/* ---- labels ---- */

static bool sample_has(const struct cprof_profile *profile, const struct cprof_sample *sample,
		       const struct cprof_label *label)
{
	for (uint32_t i = 0; i < sample->n_labels; i++) {
		const struct cprof_label *other = &profile->labels[sample->first_label + i];
		if (!other->is_num && other->key == label->key && other->text == label->text)
			return true;
	}
	return false;
}

static bool all_have(const struct cprof_profile *profile, const struct cprof_label *label)
{
	for (uint32_t i = 1; i < profile->n_samples; i++) {
		if (!sample_has(profile, &profile->samples[i], label))
			return false;
	}
	return true;
}

struct cprof_error *cprof_push_profile_labels(const struct cprof_profile *profile,
					      const struct cprof_push_grammar *grammar,
					      struct cprof_push_labels *labels)
{
	struct cprof_error *err = NULL;
	uint32_t n = profile->n_samples ? profile->samples[0].n_labels : 0;
	for (uint32_t i = 0; i < n && !err; i++) {
		const struct cprof_label *label =
			&profile->labels[profile->samples[0].first_label + i];
		const char *key = cprof_profile_text(profile, label->key);
		if (label->is_num || cprof_is_own_label(key) || cprof_is_request_id(key) ||
		    !all_have(profile, label))
			continue;
		CPROF_AUTO(buffer) struct cprof_buffer pair = { 0 };
		cprof_buffer_printf(&pair, "%s=%s", key, cprof_profile_text(profile, label->text));
		err = cprof_push_labels_add(labels, grammar, cprof_buffer_text(&pair), true);
	}
	return err;
}

/* ---- names of types ---- */

/* [A-Za-z0-9_:] is what all take: a type is a part of a query's text there. */
static struct cprof_error *clean_name(struct cprof_profile *profile, uint32_t *string)
{
	CPROF_AUTO(free) char *text = strdup(cprof_profile_text(profile, *string));
	if (!text)
		return cprof_error_no_memory();
	for (char *at = text; *at; at++) {
		if (!isalnum((unsigned char)*at) && *at != '_' && *at != ':')
			*at = '_';
	}
	return cprof_profile_string(profile, text, string);
}

static struct cprof_error *rename_threads(struct cprof_profile *profile,
					  struct cprof_value_type *type)
{
	if (strcmp(cprof_profile_text(profile, type->type), "threads") != 0)
		return NULL;
	return cprof_profile_string(profile, "goroutine", &type->type);
}

static struct cprof_error *clean_type(struct cprof_profile *profile, bool own_types,
				      struct cprof_value_type *type)
{
	struct cprof_error *err = clean_name(profile, &type->type);
	if (!err)
		err = clean_name(profile, &type->unit);
	return !err && own_types ? rename_threads(profile, type) : err;
}

static struct cprof_error *clean_types(struct cprof_profile *profile, bool own_types)
{
	struct cprof_error *err = NULL;
	if (!profile->period_type.type && profile->n_types)
		profile->period_type = profile->types[0];
	if (has_type(profile, "threads") || has_type(profile, "goroutine"))
		profile->duration_ns = 0; /* files of older versions have one */
	profile->default_type = 0;
	for (uint32_t i = 0; i < profile->n_types && !err; i++)
		err = clean_type(profile, own_types, &profile->types[i]);
	return err ? err : clean_type(profile, own_types, &profile->period_type);
}

/* ---- several out of one ---- */

static bool is_gauge(const struct cprof_profile *profile, uint32_t type)
{
	return strncmp(cprof_profile_text(profile, profile->types[type].type), "inuse_", 6) == 0;
}

/* Only the types that are gauges, or only the others. */
static void keep_types(struct cprof_profile *profile, bool gauges)
{
	size_t to = 0;
	for (uint32_t i = 0; i < profile->n_samples; i++) {
		for (uint32_t type = 0; type < profile->n_types; type++) {
			if (is_gauge(profile, type) == gauges)
				profile->values[to++] =
					profile->values[(size_t)i * profile->n_types + type];
		}
	}
	uint32_t n = 0;
	for (uint32_t type = 0; type < profile->n_types; type++) {
		if (is_gauge(profile, type) == gauges)
			profile->types[n++] = profile->types[type];
	}
	profile->n_types = n;
	if (gauges)
		profile->duration_ns = 0;
}

static struct cprof_error *tidy(struct cprof_profile *profile, struct cprof_profile **ret_profile)
{
	return cprof_merge(&profile, 1, ret_profile);
}

/* The samples [from, to) as a profile of their own. */
static struct cprof_error *cut(const struct cprof_profile *profile, uint32_t from, uint32_t to,
			       struct cprof_profile **ret_piece)
{
	CPROF_AUTO(profile) struct cprof_profile *piece = NULL;
	CPROF_AUTO(free) bool *keep = calloc(profile->n_samples + 1, sizeof(*keep));
	if (!keep)
		return cprof_error_no_memory();
	struct cprof_error *err = cprof_profile_copy(profile, &piece);
	if (err)
		return err;
	for (uint32_t i = from; i < to; i++)
		keep[i] = true;
	cprof_profile_keep_samples(piece, keep);
	return tidy(cprof_take_ptr(&piece), ret_piece);
}

static struct cprof_error *plain_bytes(const struct cprof_profile *profile, size_t *ret_n)
{
	CPROF_AUTO(buffer) struct cprof_buffer plain = { 0 };
	struct cprof_error *err = cprof_pprof_encode(profile, 0, &plain);
	*ret_n = plain.len;
	return err;
}

static uint32_t pieces_for(const struct cprof_push_backend *backend, uint32_t n_samples,
			   size_t bytes)
{
	size_t by_bytes = backend->max_bytes ? bytes / backend->max_bytes + 1 : 1;
	size_t by_count = backend->max_samples ? (n_samples + backend->max_samples - 1) /
							 (size_t)backend->max_samples
					       : 1;
	size_t n = by_bytes > by_count ? by_bytes : by_count;
	if (n > PIECES_MAX)
		n = PIECES_MAX;
	if (n > n_samples)
		n = n_samples;
	return n ? (uint32_t)n : 1;
}

/* Pieces of equally many samples; where one is too large still, its samples were larger than most, and all are cut finer. */
static struct cprof_error *cut_into(const struct cprof_profile *profile,
				    const struct cprof_push_backend *backend, uint32_t n_pieces,
				    struct cprof_push_profiles *pieces, bool *ret_fits)
{
	struct cprof_error *err = NULL;
	*ret_fits = true;
	for (uint32_t i = 0; i < n_pieces && !err && *ret_fits; i++) {
		struct cprof_profile *piece = NULL;
		size_t bytes = 0;
		uint32_t from = (uint32_t)((uint64_t)profile->n_samples * i / n_pieces);
		uint32_t to = (uint32_t)((uint64_t)profile->n_samples * (i + 1) / n_pieces);
		err = cut(profile, from, to, &piece);
		if (!err)
			err = append(pieces, piece);
		if (!err && backend->max_bytes)
			err = plain_bytes(pieces->items[pieces->len - 1], &bytes);
		*ret_fits = bytes <= backend->max_bytes || to - from <= 1;
	}
	return err;
}

/* Takes the profile. */
static struct cprof_error *split(struct cprof_profile *whole,
				 const struct cprof_push_backend *backend,
				 struct cprof_push_profiles *profiles)
{
	CPROF_AUTO(profile) struct cprof_profile *profile = whole;
	size_t bytes = 0;
	struct cprof_error *err = backend->max_bytes ? plain_bytes(profile, &bytes) : NULL;
	if (err)
		return err;
	uint32_t n = pieces_for(backend, profile->n_samples, bytes);
	if (n == 1 && (!backend->max_bytes || bytes <= backend->max_bytes))
		return append(profiles, cprof_take_ptr(&profile));
	for (bool fits = false; !fits && !err; n += n / 2 + 1) {
		CPROF_AUTO(push_profiles) struct cprof_push_profiles pieces = { 0 };
		uint32_t n_pieces = n < profile->n_samples ? n : profile->n_samples;
		err = cut_into(profile, backend, n_pieces, &pieces, &fits);
		fits = fits || n_pieces == profile->n_samples || n > PIECES_MAX;
		for (size_t i = 0; fits && !err && i < pieces.len; i++) {
			err = append(profiles, pieces.items[i]);
			pieces.items[i] = NULL;
		}
	}
	return err;
}

static struct cprof_error *gauges_apart(struct cprof_profile *whole,
					const struct cprof_push_backend *backend,
					struct cprof_push_profiles *profiles)
{
	CPROF_AUTO(profile) struct cprof_profile *profile = whole;
	uint32_t n_gauges = 0;
	for (uint32_t i = 0; i < profile->n_types; i++)
		n_gauges += is_gauge(profile, i);
	if (n_gauges == profile->n_types && n_gauges)
		profile->duration_ns = 0;
	if (n_gauges == 0 || n_gauges == profile->n_types)
		return split(cprof_take_ptr(&profile), backend, profiles);
	struct cprof_profile *copy = NULL, *piece = NULL;
	struct cprof_error *err = cprof_profile_copy(profile, &copy);
	if (err)
		return err;
	keep_types(profile, false);
	keep_types(copy, true);
	err = tidy(copy, &piece);
	if (!err)
		err = split(piece, backend, profiles);
	if (!err)
		err = tidy(cprof_take_ptr(&profile), &piece);
	return err ? err : split(piece, backend, profiles);
}

struct cprof_error *cprof_push_profiles_make(const struct cprof_profile *profile,
					     const struct cprof_push_backend *backend,
					     size_t n_labels, struct cprof_push_profiles *profiles)
{
	CPROF_AUTO(profile) struct cprof_profile *copy = NULL;
	struct cprof_profile *clean;
	struct cprof_error *err = cprof_profile_copy(profile, &copy);
	if (!err)
		err = cprof_profile_make_printable(copy);
	if (!err)
		err = clean_types(copy, backend->own_types);
	if (err)
		return err;
	err = cprof_push_requests_keep(copy, backend, n_labels, &profiles->left);
	if (err)
		return err;
	err = tidy(cprof_take_ptr(&copy), &clean);
	if (err)
		return err;
	return backend->gauges_apart ? gauges_apart(clean, backend, profiles)
				     : split(clean, backend, profiles);
}
