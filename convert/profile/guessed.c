/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/profile/guessed.h"

#include <string.h>

#include "base/cleanup.h"
#include "cprof/buffer.h"

static const char start[] = "#guessed frame: ";

const char *cprof_guessed_function(const char *comment)
{
	const size_t n = sizeof(start) - 1;
	return strncmp(comment, start, n) == 0 && comment[n] ? comment + n : NULL;
}

struct cprof_error *cprof_guessed_add(struct cprof_profile *profile, const char *function)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < profile->n_comments; i++) {
		const char *have =
			cprof_guessed_function(cprof_profile_text(profile, profile->comments[i]));
		if (have && strcmp(have, function) == 0)
			return NULL;
		n += have != NULL;
	}
	if (n >= CPROF_GUESSED_MAX || !*function)
		return NULL;
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_buffer_printf(&text, "%s%s", start, function);
	struct cprof_error *err = cprof_buffer_error(&text);
	return err ? err : cprof_profile_add_comment(profile, cprof_buffer_text(&text));
}
