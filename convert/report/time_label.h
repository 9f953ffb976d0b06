/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/report/time_label.h - when a sample was taken, where its labels say so.
 *
 * The label is a number: time_ms of cprof-attach (since the beginning of the recording), end_timestamp_ns of Datadog's profilers,
 * timestamp of others (both since 1970). A unit that stands beside the number counts more than the name of the key.
 */
#ifndef CPROF_CONVERT_REPORT_TIME_LABEL_H
#define CPROF_CONVERT_REPORT_TIME_LABEL_H

#include <stdbool.h>
#include <stdint.h>

#include "cprof/profile.h"

struct cprof_time_label {
	uint32_t key;     /* a string of the profile; 0: no sample has a time */
	const char *unit; /* where a number has none of its own */
	bool is_relative; /* from the beginning of the recording, not since 1970 */
};

struct cprof_time_label cprof_time_label_find(const struct cprof_profile *profile);

/* In nanoseconds; false: this sample does not say. */
bool cprof_time_label_get(const struct cprof_profile *profile, struct cprof_time_label label,
			  uint32_t sample, int64_t *ret_ns);

/* Drop the samples that are not of [from, to) or do not say when. Nothing happens where none says. */
void cprof_time_label_keep(struct cprof_profile *profile, int64_t from_ns, int64_t to_ns);

#endif
