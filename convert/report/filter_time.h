/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/report/filter_time.h - the options from and to: only samples of a part of the time, where samples say when they were (time_label.h).
 *
 * Both are durations from the beginning of the recording. That is 0 of time_ms; labels with times since 1970 count from the first of them in the
 * profile. A sample belongs to the part where its time, which is where its bucket begins, is not before `from` and before `to`.
 */
#ifndef CPROF_CONVERT_REPORT_FILTER_TIME_H
#define CPROF_CONVERT_REPORT_FILTER_TIME_H

#include "convert/report/config.h"
#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/profile.h"

/*
 * In place; nothing where the options are empty. Samples without a time are of no part. A line is added to `warnings` where nothing is left. Errors: USAGE
 * (no duration, from not before to, a profile without times).
 */
struct cprof_error *cprof_filter_time_apply(struct cprof_profile *profile,
					    const struct cprof_config *config,
					    struct cprof_buffer *warnings);

/* Before a part is taken of the profile that may be without the first samples: from and to go on counting from where they do now. */
void cprof_filter_time_fix(const struct cprof_profile *profile, struct cprof_config *config);

#endif
