/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/timed_samples.h - samples thread by thread in the order of time, where labels say when they were (time_label.h).
 *
 * A sample that stands for several is of a bucket of time, and where in the bucket each was nobody knows. Those of one thread are laid out one after the other
 * from the bucket's beginning: a sample of time takes as long as it says, all of them together not longer than the bucket; of other values each takes a
 * part of the bucket. Nothing is made up beyond that: what a bucket has in it is what the profile says.
 */
#ifndef CPROF_CONVERT_OUTPUT_TIMED_SAMPLES_H
#define CPROF_CONVERT_OUTPUT_TIMED_SAMPLES_H

#include <stdbool.h>
#include <stdint.h>

#include "convert/report/report.h"
#include "cprof/error.h"

struct cprof_timed_sample {
	uint32_t sample; /* of the profile */
	uint32_t thread;
	int64_t time_ns;         /* of its label, from the beginning of the recording */
	double begin_ns, end_ns; /* where it is laid out */
};

struct cprof_timed_thread {
	uint32_t name;     /* string; 0: samples do not say */
	int64_t pid, tid;  /* 0: likewise */
	uint32_t first, n; /* in `all` */
};

struct cprof_timed_samples {
	struct cprof_timed_sample *all; /* owned; by thread, then by time */
	uint32_t n;
	struct cprof_timed_thread *threads; /* owned; in the order in which samples mention them */
	uint32_t n_threads;
	int64_t width_ns;   /* of a bucket; the smallest distance of two times, at least 1 ns */
	int64_t origin_ns;  /* what times count from: 0, or the first of those since 1970 */
	uint32_t n_without; /* samples that do not say when they were */
};

/* Samples of a prepared report whose value is above 0. Without any time n is 0. Errors: NO_MEMORY. */
struct cprof_error *cprof_timed_samples_init(struct cprof_timed_samples *timed,
					     const struct cprof_report *report);
void cprof_timed_samples_deinit(struct cprof_timed_samples *timed);

/* "worker-1 4711", or what of it is known; appended. */
void cprof_timed_samples_thread_name(const struct cprof_profile *profile,
				     const struct cprof_timed_thread *thread,
				     struct cprof_buffer *out);

#endif
