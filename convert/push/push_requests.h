/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/push/push_requests.h - labels of requests (docs/labels.md, and what other programs' files have of the kind, as Go's):
 * which of them go to a server with the samples.
 *
 * What a program says of its requests is what people look for at a collector, but there each set of labels is a series of its own,
 * so they are bounded: so many names, so many sets, and ids only where the server keeps them beside its series.
 *
 * Source: Pyroscope groups samples by their labels but `span_id`, and limits series to 30 names (pkg/pprof, pkg/validation);
 * profiles.proto of OpenTelemetry 1.10 has Link and Sample.attribute_indices; the Collector 0.165 took both.
 */
#ifndef CPROF_CONVERT_PUSH_PUSH_REQUESTS_H
#define CPROF_CONVERT_PUSH_PUSH_REQUESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "convert/push/push_backend.h"
#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/profile.h"

#define CPROF_PUSH_REQUESTS_NAMES_MAX 8
#define CPROF_PUSH_REQUESTS_SETS_MAX  100

/* What there was too much of, and so stays behind; 0: nothing. */
struct cprof_push_requests_left {
	uint32_t n_names,
		n_gone; /* names there are, and how many of them go, the first in order of the alphabet */
	uint32_t n_sets; /* sets there are; none goes */
};

/*
 * Take the labels off the samples of `profile`, but for those of requests that `backend` has a place for, in words that its grammar
 * allows; `n_labels` are on the whole profile already. What all samples say alike is the whole profile's (cprof_push_profile_labels), and goes from the samples; our own labels and numbers go.
 */
struct cprof_error *cprof_push_requests_keep(struct cprof_profile *profile,
					     const struct cprof_push_backend *backend,
					     size_t n_labels,
					     struct cprof_push_requests_left *ret_left);

/* Append "without ..." for people, or nothing. */
void cprof_push_requests_say_left(const struct cprof_push_requests_left *left,
				  struct cprof_buffer *out);

/* Whether `text` is `n_bytes` bytes in hexadecimal that are not all 0, as the id of a trace (16) or span (8) is. `ret_bytes` may be NULL. */
bool cprof_push_requests_id(const char *text, size_t n_bytes, uint8_t *ret_bytes);

#endif
