/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/profile/merge_types.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/profile/measure.h"
#include "cprof/profile_scale.h"

/* "alloc" and "allocs" are one type. */
static bool same_type(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	n -= n && a[n - 1] == 's';
	m -= m && b[m - 1] == 's';
	return n == m && memcmp(a, b, n) == 0;
}

static const char *type_name(const struct cprof_profile *p, uint32_t type)
{
	return cprof_profile_text(p, p->types[type].type);
}

static uint32_t find_type(const struct cprof_profile *p, const char *name)
{
	for (uint32_t i = 0; i < p->n_types; i++) {
		if (strcmp(type_name(p, i), name) == 0)
			return i;
	}
	return UINT32_MAX;
}

/* Keep only the types `kept` (indices, in the new order). */
static void select_types(struct cprof_profile *p, const uint32_t *kept, uint32_t n)
{
	for (uint32_t i = 0; i < p->n_samples; i++) {
		int64_t row[64];
		for (uint32_t t = 0; t < n; t++)
			row[t] = p->values[(size_t)i * p->n_types + kept[t]];
		memcpy(p->values + (size_t)i * n, row, n * sizeof(*row));
	}
	struct cprof_value_type types[64];
	for (uint32_t t = 0; t < n; t++)
		types[t] = p->types[kept[t]];
	memcpy(p->types, types, n * sizeof(*types));
	p->n_types = n;
}

static bool types_differ(struct cprof_profile *const *profiles, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		if (profiles[i]->n_types != profiles[0]->n_types)
			return true;
		for (uint32_t t = 0; t < profiles[0]->n_types; t++) {
			if (!same_type(type_name(profiles[0], t), type_name(profiles[i], t)))
				return true;
		}
	}
	return false;
}

static struct cprof_error *intersect_types(struct cprof_profile **profiles, size_t n)
{
	if (!types_differ(profiles, n))
		return NULL;
	const char *names[64];
	uint32_t n_names = 0;
	for (uint32_t t = 0; t < profiles[0]->n_types && n_names < 64; t++) {
		const char *name = type_name(profiles[0], t);
		bool everywhere = true;
		for (size_t i = 1; everywhere && i < n; i++)
			everywhere = find_type(profiles[i], name) != UINT32_MAX;
		if (everywhere)
			names[n_names++] = name;
	}
	if (n_names == 0)
		return cprof_error_new(CPROF_ERR_USAGE,
				       "the profiles have no sample type in common");
	for (size_t i = n; i-- > 0;) { /* the first one last: `names` borrows from it */
		uint32_t kept[64];
		for (uint32_t t = 0; t < n_names; t++)
			kept[t] = find_type(profiles[i], names[t]);
		select_types(profiles[i], kept, n_names);
	}
	return NULL;
}

/* The finest of the units that the profiles have for one thing; NULL where they cannot be compared. */
static const char *finest(const char *best, const char *unit)
{
	if (!cprof_measure_compatible(best, unit))
		return NULL;
	return cprof_measure_scale(1, unit, best).value < 1 ? unit : best;
}

static struct cprof_error *scale_type(struct cprof_profile **profiles, size_t n, uint32_t type,
				      double *ratios)
{
	const char *unit = cprof_profile_text(profiles[0], profiles[0]->types[type].unit);
	for (size_t i = 1; i < n; i++) {
		const char *other = cprof_profile_text(profiles[i], profiles[i]->types[type].unit);
		const char *best = finest(unit, other);
		if (!best)
			return cprof_error_new(CPROF_ERR_USAGE,
					       "sample type %s: units %s and %s cannot be compared",
					       type_name(profiles[0], type), unit, other);
		unit = best;
	}
	for (size_t i = 0; i < n; i++) {
		uint32_t *own = &profiles[i]->types[type].unit;
		ratios[i * 64 + type] =
			cprof_measure_scale(1, cprof_profile_text(profiles[i], *own), unit).value;
		struct cprof_error *err = cprof_profile_string(profiles[i], unit, own);
		if (err)
			return err;
	}
	return NULL;
}

static struct cprof_error *scale_periods(struct cprof_profile **profiles, size_t n)
{
	const struct cprof_value_type *first = &profiles[0]->period_type;
	const char *unit = cprof_profile_text(profiles[0], first->unit);
	for (size_t i = 1; i < n; i++) {
		const struct cprof_value_type *other = &profiles[i]->period_type;
		const char *best =
			same_type(cprof_profile_text(profiles[0], first->type),
				  cprof_profile_text(profiles[i], other->type))
				? finest(unit, cprof_profile_text(profiles[i], other->unit))
				: NULL;
		if (!best)
			return cprof_error_new(CPROF_ERR_USAGE,
					       "period type: incompatible types %s/%s and %s/%s",
					       cprof_profile_text(profiles[0], first->type), unit,
					       cprof_profile_text(profiles[i], other->type),
					       cprof_profile_text(profiles[i], other->unit));
		unit = best;
	}
	for (size_t i = 0; i < n; i++) {
		struct cprof_profile *p = profiles[i];
		const char *own = cprof_profile_text(p, p->period_type.unit);
		p->period = cprof_measure_truncate(cprof_measure_scale(p->period, own, unit).value);
		struct cprof_error *err = cprof_profile_string(p, unit, &p->period_type.unit);
		if (err)
			return err;
	}
	return NULL;
}

struct cprof_error *cprof_merge_types_align(struct cprof_profile **profiles, size_t n)
{
	if (n < 2)
		return NULL;
	struct cprof_error *err = intersect_types(profiles, n);
	if (!err && profiles[0]->n_types > 64)
		err = cprof_error_new(CPROF_ERR_UNSUPPORTED, "merge: %u sample types, at most 64",
				      profiles[0]->n_types);
	if (!err)
		err = scale_periods(profiles, n);
	CPROF_AUTO(free) double *ratios = calloc(n * 64, sizeof(*ratios));
	if (!err && !ratios)
		err = cprof_error_no_memory();
	for (uint32_t t = 0; !err && t < profiles[0]->n_types; t++)
		err = scale_type(profiles, n, t, ratios);
	for (size_t i = 0; !err && i < n; i++)
		cprof_profile_scale_types(profiles[i], ratios + i * 64);
	return err;
}
