/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/web/compare.h"

#include "base/cleanup.h"
#include "cprof/merge.h"
#include "cprof/profile_scale.h"

static struct cprof_error *take(const struct cprof_web_choice *choice, unsigned number,
				struct cprof_profile **ret_profile)
{
	*ret_profile = cprof_web_recordings_take(choice->recordings, number);
	if (*ret_profile)
		return NULL;
	return cprof_error_hint(
		cprof_error_new(CPROF_ERR_USAGE, "there is no recording %u here", number),
		"only the newest are kept; choose another one");
}

static struct cprof_error *normalize(struct cprof_profile *profile,
				     const struct cprof_profile *base, enum cprof_web_norm norm)
{
	if (norm == CPROF_WEB_NORM_TOTAL)
		return cprof_profile_normalize(profile, base);
	if (norm != CPROF_WEB_NORM_DURATION)
		return NULL;
	if (profile->duration_ns <= 0 || base->duration_ns <= 0)
		return cprof_error_new(CPROF_ERR_USAGE,
				       "one of the two profiles does not say how "
				       "long it took: compare them by total, or as "
				       "they are");
	cprof_profile_scale(profile, (double)base->duration_ns / (double)profile->duration_ns);
	return NULL;
}

/* All frames of a location become one, named like its module. */
static struct cprof_error *join_modules(struct cprof_profile *p)
{
	for (uint32_t i = 0; i < p->n_locations; i++) {
		uint32_t mapping = p->locations[i].mapping;
		const char *name =
			mapping ? cprof_profile_text(p, p->mappings[mapping - 1].filename) : "";
		struct cprof_function function = { 0 };
		struct cprof_line line = { 0 };
		struct cprof_error *err =
			cprof_profile_string(p, *name ? name : "(no module)", &function.name);
		function.system_name = function.name;
		if (!err)
			err = cprof_profile_function(p, &function, &line.function);
		if (!err)
			err = cprof_profile_set_lines(p, i, &line, 1);
		if (err)
			return err;
	}
	return NULL;
}

/* The two that are compared; pair[1] stays NULL where there is no base. */
static struct cprof_error *take_pair(const struct cprof_web_choice *choice,
				     struct cprof_profile *pair[2])
{
	struct cprof_error *err = take(choice, choice->profile, &pair[0]);
	if (err || !choice->base)
		return err;
	return choice->base == choice->profile ? cprof_profile_copy(pair[0], &pair[1])
					       : take(choice, choice->base, &pair[1]);
}

static struct cprof_error *join(const struct cprof_web_choice *choice,
				struct cprof_profile *pair[2], struct cprof_profile **ret_profile)
{
	struct cprof_error *err = take_pair(choice, pair);
	if (!err && pair[1])
		err = normalize(pair[0], pair[1], choice->norm);
	if (!err && pair[1])
		return cprof_merge_subtract(pair, choice->mark_base, ret_profile);
	if (!err)
		*ret_profile = cprof_take_ptr(&pair[0]);
	return err;
}

struct cprof_error *cprof_web_compare(const struct cprof_web_choice *choice,
				      struct cprof_profile **ret_profile)
{
	struct cprof_profile *pair[2] = { NULL, NULL };
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	struct cprof_error *err = join(choice, pair, &profile);
	cprof_profile_free(pair[0]);
	cprof_profile_free(pair[1]);
	if (!err && choice->by_module)
		err = join_modules(profile);
	if (!err)
		*ret_profile = cprof_take_ptr(&profile);
	return err;
}
