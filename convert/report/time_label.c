/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/report/time_label.h"

#include <string.h>

#include "convert/profile/measure.h"

static const struct {
	const char *key, *unit;
	bool is_relative;
} known[] = {
	{ "time_ms", "milliseconds", true },       { "end_timestamp_ns", "nanoseconds", false },
	{ "timestamp_ns", "nanoseconds", false },  { "timestamp", "nanoseconds", false },
	{ "timestamp_ms", "milliseconds", false }, { "time", "nanoseconds", false },
};

struct cprof_time_label cprof_time_label_find(const struct cprof_profile *p)
{
	uint32_t before = 0; /* the key that was looked at last: most samples have the same */
	for (uint32_t i = 0; i < p->n_labels; i++) {
		const struct cprof_label *label = &p->labels[i];
		if (!label->is_num || label->key == before)
			continue;
		before = label->key;
		for (size_t row = 0; row < sizeof(known) / sizeof(known[0]); row++) {
			if (strcmp(cprof_profile_text(p, label->key), known[row].key) == 0)
				return (struct cprof_time_label){ label->key, known[row].unit,
								  known[row].is_relative };
		}
	}
	return (struct cprof_time_label){ 0 };
}

bool cprof_time_label_get(const struct cprof_profile *p, struct cprof_time_label time,
			  uint32_t sample, int64_t *ret_ns)
{
	const struct cprof_sample *s = &p->samples[sample];
	for (uint32_t i = 0; time.key && i < s->n_labels; i++) {
		const struct cprof_label *label = &p->labels[s->first_label + i];
		if (!label->is_num || label->key != time.key)
			continue;
		const char *unit = label->text ? cprof_profile_text(p, label->text) : time.unit;
		if (!cprof_measure_compatible(unit, "nanoseconds"))
			unit = time.unit;
		*ret_ns = strcmp(unit, "nanoseconds") == 0
				  ? label->num
				  : cprof_measure_truncate(
					    cprof_measure_scale(label->num, unit, "nanoseconds")
						    .value);
		return true;
	}
	return false;
}

void cprof_time_label_keep(struct cprof_profile *p, int64_t from_ns, int64_t to_ns)
{
	const struct cprof_time_label time = cprof_time_label_find(p);
	uint32_t n = 0;
	for (uint32_t i = 0; time.key && i < p->n_samples; i++) {
		int64_t ns;
		if (!cprof_time_label_get(p, time, i, &ns) || ns < from_ns || ns >= to_ns)
			continue;
		p->samples[n] = p->samples[i];
		memmove(&p->values[(size_t)n * p->n_types], &p->values[(size_t)i * p->n_types],
			p->n_types * sizeof(*p->values));
		n++;
	}
	if (time.key)
		p->n_samples = n;
}
