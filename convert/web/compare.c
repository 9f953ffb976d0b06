/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/web/compare.h"

#include "base/cleanup.h"
#include "convert/web/time_label.h"
#include "cprof/merge.h"
#include "cprof/profile_scale.h"

static struct cprof_error *find(const struct cprof_web_choice *choice, unsigned number,
				struct cprof_profile **ret_profile)
{
	const struct cprof_web_recording *recording =
		cprof_web_recordings_find(choice->recordings, number);
	if (!recording)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE, "there is no recording %u here", number),
			"only the newest are kept; choose another one");
	*ret_profile = recording->profile;
	return NULL;
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

struct cprof_error *cprof_web_compare(const struct cprof_web_choice *choice,
				      struct cprof_profile **ret_profile)
{
	struct cprof_profile *pair[2] = { NULL, NULL };
	struct cprof_error *err = find(choice, choice->profile, &pair[0]);
	if (!err && choice->base)
		err = find(choice, choice->base, &pair[1]);
	if (!err && choice->base &&
	    pair[1] == pair[0]) /* a recording beside itself: merging takes both */
		err = cprof_profile_copy(pair[0], &pair[1]);
	if (!err && choice->base)
		err = normalize(pair[0], pair[1], choice->norm);
	if (err)
		return err;
	if (!choice->base)
		*ret_profile = pair[0];
	else
		err = cprof_merge_subtract(pair, choice->mark_base, ret_profile);
	if (!err && choice->to_ns)
		cprof_time_label_keep(*ret_profile, choice->from_ns, choice->to_ns);
	if (!err && choice->by_module)
		err = join_modules(*ret_profile);
	return err;
}
