/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/ring/ring_recording.h - the process that samples for a ring, and what it is asked for: the profile of a stretch of time.
 *
 * A recording of its own kind: it keeps samples with their times (attach/run/sample_ring.h), makes profiles in copies of
 * itself (attach/run/snapshots.h), and does not notice who asks. When its target has ended it hands out what it has, and how that was.
 */
#ifndef CPROF_ATTACH_RING_RING_RECORDING_H
#define CPROF_ATTACH_RING_RING_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/modes/mode.h"
#include "attach/run/run.h"
#include "attach/serve/recording.h"
#include "base/work.h"
#include "base/work_result.h"
#include "cprof/buffer.h"
#include "cprof/error.h"

#define CPROF_RING_REASON_MAX 200 /* bytes of why a profile is made */

/* What it is told; borrowed until the return of cprof_ring_recording_start(). */
struct cprof_ring_subject {
	struct cprof_subject subject;
	const struct cprof_mode *mode;
	const struct cprof_run_label *labels;
	size_t n_labels;
	struct cprof_run_timeline timeline;
	uint64_t length_ns; /* of the ring */
	uint64_t before_ns; /* of the profile that it hands out at its target's end */
	size_t bytes_max;
};

struct cprof_ring_recording {
	struct cprof_work work; /* its result: a profile, or why there is none */
	int ask_fd;             /* owned */
};

/* Errors: OS. That the mode cannot be had is told by the work's result. */
struct cprof_error *cprof_ring_recording_start(const struct cprof_ring_subject *subject,
					       struct cprof_ring_recording *ret_recording);
void cprof_ring_recording_end(struct cprof_ring_recording *recording);

/*
 * Whether it has begun to record, told once: until then ask_fd becomes readable with it. To begin takes a while where programs are
 * loaded into the kernel, or the machine is busy.
 */
bool cprof_ring_recording_has_begun(const struct cprof_ring_recording *recording);

/*
 * The profile of [from, until) of CLOCK_MONOTONIC, made because of `reason`, which goes into its comments. One at a time: two that are asked
 * for together would both be of the first one's time. Errors: OS.
 */
struct cprof_error *cprof_ring_recording_ask(const struct cprof_ring_recording *recording,
					     uint64_t from_ns, uint64_t until_ns,
					     const char *reason,
					     struct cprof_work_reader *ret_reader);

/* What comes back, in the bytes that it was read from. */
struct cprof_ring_profile {
	uint64_t samples, lost;
	uint64_t length_ns;
	char ending[CPROF_RING_REASON_MAX]; /* how the target has ended; "": it runs */
	const uint8_t *file;                /* pprof, compressed */
	size_t n_file;
};

/* False: it is not whole. */
bool cprof_ring_profile_read(const struct cprof_buffer *bytes,
			     struct cprof_ring_profile *ret_profile);

#endif
