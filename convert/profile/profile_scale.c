/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/profile_scale.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/profile/measure.h"

void cprof_profile_scale_types(struct cprof_profile *p, const double *ratios)
{
	uint32_t kept = 0;
	bool all_ones = true;
	for (uint32_t t = 0; t < p->n_types; t++)
		all_ones = all_ones && ratios[t] == 1;
	for (uint32_t i = 0; !all_ones && i < p->n_samples; i++) {
		int64_t *row = p->values + (size_t)i * p->n_types;
		bool keep = false;
		for (uint32_t t = 0; t < p->n_types; t++) {
			if (ratios[t] != 1) {
				row[t] = cprof_measure_truncate(round((double)row[t] * ratios[t]));
				keep = keep || row[t];
			}
		}
		if (!keep)
			continue;
		p->samples[kept] = p->samples[i];
		memmove(p->values + (size_t)kept * p->n_types, row, p->n_types * sizeof(*row));
		kept++;
	}
	if (!all_ones)
		p->n_samples = kept;
}

void cprof_profile_scale(struct cprof_profile *profile, double ratio)
{
	double *ratios = calloc(profile->n_types ? profile->n_types : 1, sizeof(*ratios));
	if (!ratios) { /* a negation must never be lost; this needs no memory */
		for (size_t i = 0; i < (size_t)profile->n_samples * profile->n_types; i++)
			profile->values[i] =
				cprof_measure_truncate(round((double)profile->values[i] * ratio));
		return;
	}
	for (uint32_t t = 0; t < profile->n_types; t++)
		ratios[t] = ratio;
	cprof_profile_scale_types(profile, ratios);
	free(ratios);
}

static bool equal_types(const struct cprof_profile *a, const struct cprof_profile *b)
{
	if (a->n_types != b->n_types)
		return false;
	for (uint32_t t = 0; t < a->n_types; t++) {
		if (strcmp(cprof_profile_text(a, a->types[t].type),
			   cprof_profile_text(b, b->types[t].type)) != 0 ||
		    strcmp(cprof_profile_text(a, a->types[t].unit),
			   cprof_profile_text(b, b->types[t].unit)) != 0)
			return false;
	}
	return true;
}

static void sum_types(const struct cprof_profile *p, int64_t *sums)
{
	for (uint32_t i = 0; i < p->n_samples; i++) {
		for (uint32_t t = 0; t < p->n_types; t++)
			sums[t] = cprof_measure_add(sums[t], p->values[(size_t)i * p->n_types + t]);
	}
}

struct cprof_error *cprof_profile_normalize(struct cprof_profile *profile,
					    const struct cprof_profile *base)
{
	if (!equal_types(profile, base))
		return cprof_error_new(CPROF_ERR_USAGE,
				       "normalize: profile and base have different sample types");
	uint32_t n = profile->n_types;
	CPROF_AUTO(free) int64_t *sums = calloc(2 * (size_t)n + 1, sizeof(*sums));
	CPROF_AUTO(free) double *ratios = calloc((size_t)n + 1, sizeof(*ratios));
	if (!sums || !ratios)
		return cprof_error_no_memory();
	sum_types(profile, sums);
	sum_types(base, sums + n);
	for (uint32_t t = 0; t < n; t++)
		ratios[t] = sums[t] ? (double)sums[n + t] / (double)sums[t] : 0;
	cprof_profile_scale_types(profile, ratios);
	return NULL;
}
