/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/live/live_warnings.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "cprof/hash.h"

#define MARK "warning: " /* how a comment of one begins: attach/run/session.c */

void cprof_live_warnings_deinit(struct cprof_live_warnings *warnings)
{
	cprof_buffer_deinit(&warnings->last);
	*warnings = (struct cprof_live_warnings){ 0 };
}

static uint64_t kind_of(const char *text)
{
	uint64_t hash = 0;
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text))
			hash = cprof_hash_mix(hash, (unsigned char)*text);
	}
	return hash;
}

/* What comes after the last one that there is room for is not told: it would be told in each window. */
static bool is_new(struct cprof_live_warnings *warnings, const char *text)
{
	const uint64_t kind = kind_of(text);
	for (size_t i = 0; i < warnings->n_seen; i++) {
		if (warnings->seen[i] == kind)
			return false;
	}
	if (warnings->n_seen == CPROF_LIVE_WARNINGS_MAX)
		return false;
	warnings->seen[warnings->n_seen++] = kind;
	return true;
}

void cprof_live_warnings_take(struct cprof_live_warnings *warnings,
			      const struct cprof_profile *profile, struct cprof_buffer *fresh)
{
	warnings->last.len = 0;
	for (uint32_t i = 0; i < profile->n_comments; i++) {
		const char *text = cprof_profile_text(profile, profile->comments[i]);
		if (strncmp(text, MARK, strlen(MARK)) != 0)
			continue;
		cprof_buffer_printf(&warnings->last, "%s%s", warnings->last.len ? "\n" : "", text);
		if (is_new(warnings, text))
			cprof_buffer_printf(fresh, "%s%s", fresh->len ? "; " : "", text);
	}
}
