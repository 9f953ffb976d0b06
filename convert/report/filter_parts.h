/*
 * convert/report/filter_parts.h - what the files behind filter.h share among themselves.
 */
#ifndef CPROF_CONVERT_REPORT_FILTER_PARTS_H
#define CPROF_CONVERT_REPORT_FILTER_PARTS_H

#include "convert/report/filter.h"
#include "convert/report/regex.h"

/* An expression and what is known of the profile's strings; each is matched at most once. */
struct cprof_filter_match {
	const struct cprof_profile *profile; /* borrowed */
	struct cprof_regex *regex;           /* owned; NULL where there is no expression */
	uint8_t *known;                      /* owned */
};

struct cprof_error *cprof_filter_match_init(struct cprof_filter_match *match,
					    const struct cprof_profile *profile, const char *option,
					    const char *pattern);
void cprof_filter_match_deinit(struct cprof_filter_match *match);
bool cprof_filter_match_string(struct cprof_filter_match *match, uint32_t string);

void cprof_filter_warn(struct cprof_buffer *warnings, bool matched, const char *option);
void cprof_filter_keep(struct cprof_profile *profile, const bool *keep);

struct cprof_error *cprof_filter_tags(struct cprof_profile *profile,
				      const struct cprof_config *config, cprof_filter_unit *unit_of,
				      const void *ctx, struct cprof_buffer *warnings);
struct cprof_error *cprof_filter_prune_from(struct cprof_profile *profile, const char *pattern);

#endif
