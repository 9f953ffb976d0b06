/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/report/filter_pattern.h - the regular expression of a filter option, matched against a profile's strings.
 *
 * Names repeat: a profile has far fewer strings than frames, so each string is matched at most once. What is then done
 * with the frames or tags of a match belongs to filter_names.h, filter_tags.h, filter_leaf.h and tag_frames.h.
 */
#ifndef CPROF_CONVERT_REPORT_FILTER_PATTERN_H
#define CPROF_CONVERT_REPORT_FILTER_PATTERN_H

#include "convert/report/regex.h"
#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/profile.h"

struct cprof_filter_pattern {
	const struct cprof_profile *profile; /* borrowed */
	struct cprof_regex *regex;           /* owned; NULL where the option is not given */
	uint8_t *known;                      /* owned; by string: 0 not asked, 1 no, 2 yes */
};

/* `text` may be "": no expression, and then nothing may be matched. Errors: CPROF_ERR_USAGE, naming `option`. */
struct cprof_error *cprof_filter_pattern_init(struct cprof_filter_pattern *pattern,
					      const struct cprof_profile *profile,
					      const char *option, const char *text);
void cprof_filter_pattern_deinit(struct cprof_filter_pattern *pattern);

/* Whether this string of the profile (as it was at _init) matches anywhere. */
bool cprof_filter_pattern_match(struct cprof_filter_pattern *pattern, uint32_t string);

/* The expression of `option` alone, for those who match other text than the profile's. Errors as above. */
struct cprof_error *cprof_filter_pattern_parse(const char *option, const char *text,
					       struct cprof_regex **ret_regex);

/* Unless it matched, a line that says so. `option` is spelled as pprof does there: "Focus". */
void cprof_filter_pattern_warn(struct cprof_buffer *warnings, bool matched, const char *option);

#endif
