/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/profile/heap_series.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/profile/heap_age.h"
#include "convert/profile/measure.h"

struct columns {
	uint32_t objects, bytes;
};

static bool find_type(const struct cprof_profile *p, const char *const names[2], uint32_t *ret)
{
	for (uint32_t i = 0; i < p->n_types; i++) {
		const char *name = cprof_profile_text(p, p->types[i].type);
		if (strcmp(name, names[0]) == 0 || strcmp(name, names[1]) == 0) {
			*ret = i;
			return true;
		}
	}
	return false;
}

/* "space" and "objects" are their names in old files. */
static bool find_columns(const struct cprof_profile *p, struct columns *ret)
{
	static const char *const objects[2] = { "inuse_objects", "objects" };
	static const char *const bytes[2] = { "inuse_space", "space" };
	return find_type(p, objects, &ret->objects) && find_type(p, bytes, &ret->bytes);
}

/* Those that say what a block is, or when; the others tell samples apart as they did. */
static bool stays(const struct cprof_profile *p, const struct cprof_label *label)
{
	static const char *const gone[] = { "bytes", CPROF_HEAP_AGE, CPROF_HEAP_MOMENT };
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
		if (strcmp(cprof_profile_text(p, label->key), gone[i]) == 0)
			return false;
	}
	return true;
}

/* How many sampled blocks these are: a block was sampled with the probability 1 - exp(-size / period). */
static int64_t samples_of(const struct cprof_profile *p, double objects, double bytes)
{
	const double size = objects != 0 ? fabs(bytes / objects) : 0;
	const double share = p->period > 1 && size > 0 ? -expm1(-size / (double)p->period) : 1;
	const double samples = fabs(objects) * share;
	return samples > 1 ? cprof_measure_truncate(samples < 0x1p62 ? samples + 0.5 : 0x1p62) : 1;
}

static struct cprof_error *set_types(struct cprof_profile *p)
{
	struct cprof_error *err = NULL;
	if (p->n_types < 2)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "no heap profile");
	err = cprof_profile_string(p, CPROF_HEAP_HISTORY_SPACE, &p->types[0].type);
	if (!err)
		err = cprof_profile_string(p, "bytes", &p->types[0].unit);
	if (!err)
		err = cprof_profile_string(p, CPROF_HEAP_HISTORY_SAMPLES, &p->types[1].type);
	if (!err)
		err = cprof_profile_string(p, "count", &p->types[1].unit);
	if (!err)
		err = cprof_profile_set_default_type(p, CPROF_HEAP_HISTORY_SPACE);
	return err;
}

static struct cprof_error *add_moment(struct cprof_profile *into, const struct cprof_profile *p,
				      uint32_t sample, const struct columns *columns,
				      struct cprof_label moment)
{
	const struct cprof_sample *s = &p->samples[sample];
	const int64_t *values = &p->values[(size_t)sample * p->n_types];
	const int64_t objects = values[columns->objects], bytes = values[columns->bytes];
	if (!objects && !bytes)
		return NULL;
	CPROF_AUTO(free) struct cprof_label *labels = calloc(s->n_labels + 1ul, sizeof(*labels));
	if (!labels)
		return cprof_error_no_memory();
	size_t n = 0;
	for (uint32_t i = 0; i < s->n_labels; i++) {
		if (stays(p, &p->labels[s->first_label + i]))
			labels[n++] = p->labels[s->first_label + i];
	}
	labels[n++] = moment;
	const int64_t counted[2] = { bytes, samples_of(p, (double)objects, (double)bytes) };
	return cprof_profile_add_sample(into, p->stacks + s->first_location, s->n_locations, labels,
					n, counted);
}

/* A copy without samples has all that they refer to; the numbers of strings stay. */
static struct cprof_error *fill(struct cprof_profile *p, const struct columns *columns, int64_t ms,
				struct cprof_profile **ret)
{
	CPROF_AUTO(profile) struct cprof_profile *into = NULL;
	struct cprof_label moment = { .num = ms, .is_num = true };
	struct cprof_error *err = cprof_profile_copy(p, &into);
	if (err)
		return err;
	into->n_samples = into->n_stacks = into->n_labels = 0;
	into->n_types = 2;
	err = set_types(into);
	if (!err)
		err = cprof_profile_string(into, CPROF_HEAP_MOMENT, &moment.key);
	if (!err)
		err = cprof_profile_string(into, CPROF_HEAP_MOMENT_UNIT, &moment.text);
	for (uint32_t i = 0; !err && i < p->n_samples; i++)
		err = add_moment(into, p, i, columns, moment);
	if (!err)
		*ret = cprof_take_ptr(&into);
	return err;
}

struct cprof_error *cprof_heap_series_moment(struct cprof_profile **profile, int64_t *ret_ms)
{
	struct cprof_profile *p = *profile, *series;
	struct columns columns;
	if (!find_columns(p, &columns) || p->n_types < 2 || columns.objects == columns.bytes)
		return cprof_error_new(CPROF_ERR_BAD_DATA,
				       "it is no heap profile: it has no inuse_space "
				       "and inuse_objects");
	const int64_t end_ns = cprof_measure_add(p->time_ns, p->duration_ns);
	if (p->time_ns <= 0 || p->duration_ns < 0 || end_ns < p->time_ns)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "it does not tell when it was taken");
	struct cprof_error *err = fill(p, &columns, end_ns / 1000000, &series);
	if (err)
		return err;
	*ret_ms = end_ns / 1000000;
	cprof_profile_free(p);
	*profile = series;
	return NULL;
}
