/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/report/filter_pattern.h"

#include <stdlib.h>

struct cprof_error *cprof_filter_pattern_parse(const char *option, const char *text,
					       struct cprof_regex **ret_regex)
{
	struct cprof_error *err = cprof_regex_new(text, ret_regex);
	return err ? cprof_error_wrap(err, "parsing %s regexp", option) : NULL;
}

struct cprof_error *cprof_filter_pattern_init(struct cprof_filter_pattern *pattern,
					      const struct cprof_profile *profile,
					      const char *option, const char *text)
{
	*pattern = (struct cprof_filter_pattern){ .profile = profile };
	if (!*text)
		return NULL;
	struct cprof_error *err = cprof_filter_pattern_parse(option, text, &pattern->regex);
	if (err)
		return err;
	pattern->known = calloc(profile->strings.len, 1);
	return pattern->known ? NULL : cprof_error_no_memory();
}

void cprof_filter_pattern_deinit(struct cprof_filter_pattern *pattern)
{
	cprof_regex_free(pattern->regex);
	free(pattern->known);
	*pattern = (struct cprof_filter_pattern){ 0 };
}

bool cprof_filter_pattern_match(struct cprof_filter_pattern *pattern, uint32_t string)
{
	if (!pattern->known[string]) {
		const struct cprof_intern_entry *entry = &pattern->profile->strings.entries[string];
		bool yes = cprof_regex_match_bytes(pattern->regex, entry->text, entry->len);
		pattern->known[string] = yes ? 2 : 1;
	}
	return pattern->known[string] == 2;
}

void cprof_filter_pattern_warn(struct cprof_buffer *warnings, bool matched, const char *option)
{
	if (!matched)
		cprof_buffer_printf(warnings, "%s expression matched no samples\n", option);
}
