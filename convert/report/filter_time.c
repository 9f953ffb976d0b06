/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/report/filter_time.h"

#include "convert/profile/measure.h"
#include "convert/report/time_label.h"

static struct cprof_error *parse(const char *option, const char *text, int64_t none_ns,
				 int64_t *ret_ns)
{
	uint64_t ns;
	*ret_ns = none_ns;
	if (!*text)
		return NULL;
	struct cprof_error *err = cprof_options_value(option, CPROF_OPT_DURATION, text, &ns);
	if (!err)
		*ret_ns = (int64_t)ns; /* a duration is below 9.2e18 */
	return err;
}

static struct cprof_error *no_times(void)
{
	return cprof_error_hint(
		cprof_error_new(CPROF_ERR_USAGE,
				"from and to: no sample of this profile says when it was"),
		"files of cprof-attach's mode cpu do, by the label time_ms; its option timeline is about that");
}

/* The times that there are; false: none. */
static bool find_range(const struct cprof_profile *p, struct cprof_time_label time,
		       int64_t *ret_first, int64_t *ret_last)
{
	bool any = false;
	for (uint32_t i = 0; i < p->n_samples; i++) {
		int64_t ns;
		if (!cprof_time_label_get(p, time, i, &ns))
			continue;
		*ret_first = any && *ret_first < ns ? *ret_first : ns;
		*ret_last = any && *ret_last > ns ? *ret_last : ns;
		any = true;
	}
	return any;
}

static void warn_empty(const struct cprof_config *config, int64_t first_ns, int64_t last_ns,
		       struct cprof_buffer *warnings)
{
	char first[CPROF_MEASURE_LABEL_MAX], last[CPROF_MEASURE_LABEL_MAX];
	cprof_buffer_printf(
		warnings, "No sample is of the time from %s to %s: they are of %s to %s\n",
		*config->from ? config->from : "0", *config->to ? config->to : "the end",
		cprof_measure_label_text(first, first_ns, "nanoseconds", "auto"),
		cprof_measure_label_text(last, last_ns, "nanoseconds", "auto"));
}

static int64_t plus(int64_t a, int64_t b)
{
	int64_t sum;
	return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static int64_t minus(int64_t a, int64_t b)
{
	int64_t difference;
	return __builtin_sub_overflow(a, b, &difference) ? INT64_MAX : difference;
}

struct cprof_error *cprof_filter_time_apply(struct cprof_profile *profile,
					    const struct cprof_config *config,
					    struct cprof_buffer *warnings)
{
	int64_t from_ns, to_ns, first_ns = 0, last_ns = 0;
	if (!*config->from && !*config->to)
		return NULL;
	struct cprof_error *err = parse("from", config->from, 0, &from_ns);
	if (!err)
		err = parse("to", config->to, INT64_MAX, &to_ns);
	if (err)
		return err;
	if (from_ns >= to_ns)
		return cprof_error_new(CPROF_ERR_USAGE, "from %s is not before to %s",
				       *config->from ? config->from : "0", config->to);
	const struct cprof_time_label time = cprof_time_label_find(profile);
	if (!find_range(profile, time, &first_ns, &last_ns))
		return profile->n_samples ? no_times() : NULL;
	const int64_t origin = time.is_relative     ? 0
			       : config->has_origin ? config->origin_ns
						    : first_ns;
	cprof_time_label_keep(profile, plus(origin, from_ns), plus(origin, to_ns));
	if (!profile->n_samples)
		warn_empty(config, minus(first_ns, origin), minus(last_ns, origin), warnings);
	return NULL;
}

void cprof_filter_time_fix(const struct cprof_profile *profile, struct cprof_config *config)
{
	int64_t first_ns, last_ns;
	config->has_origin =
		find_range(profile, cprof_time_label_find(profile), &first_ns, &last_ns);
	config->origin_ns = config->has_origin ? first_ns : 0;
}
