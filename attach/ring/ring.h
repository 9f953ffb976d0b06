/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/ring/ring.h - a process that is recorded all the time, and a file of the time around each trigger.
 *
 * Owns the loop: the recording (ring_recording.h) samples in a process of its own, triggers are looked at here (gauge.h,
 * trigger.h), and where files go is the caller's. From a trigger to its file nothing is stopped, and the recording goes on. What triggers while the
 * file of another trigger is waited for is in that file, and named in it.
 */
#ifndef CPROF_ATTACH_RING_RING_H
#define CPROF_ATTACH_RING_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/modes/mode.h"
#include "attach/ring/ring_recording.h"
#include "attach/ring/trigger.h"
#include "attach/run/run.h"
#include "attach/target/target.h"
#include "cprof/error.h"

/* Borrowed, all of it. */
struct cprof_ring {
	struct cprof_target *target;
	const struct cprof_mode *mode;
	const struct cprof_mode_requests *requests;
	struct cprof_run_naming naming;
	const struct cprof_run_label *labels;
	size_t n_labels;
	struct cprof_thread_choice *threads; /* as in attach/run/run.h, as the next two */
	struct cprof_run_request_labels request_labels;
	struct cprof_run_timeline timeline;
	const char *command_line;

	uint64_t before_ns, after_ns; /* of the trigger */
	size_t bytes_max;             /* for samples */
	struct cprof_trigger *triggers;
	size_t n_triggers;
	uint64_t length_ns; /* of all; 0: until it is told to end */
	int stop_fd;        /* readable: end */
	int signal_fds[2];  /* eventfds: SIGUSR1, SIGUSR2 came; -1: none */
	const char *http;   /* where to listen; NULL: nowhere */
	const char *http_token_file;

	/* A profile; says itself what has become of it. Must not wait long. Errors end the ring. */
	struct cprof_error *(*write)(void *ctx, const struct cprof_ring_profile *profile,
				     const char *reason);
	void (*say)(void *ctx, const char *text); /* a line for people */
	void *ctx;
};

struct cprof_ring_counts {
	uint64_t triggers, files;
};

/*
 * Until it is told to end, its time is over or the target has ended, which triggers, too. Where nothing has triggered by then, what there is is written.
 * Errors: why the mode cannot be had, or a value cannot be looked at; those of write(); OS, NO_MEMORY.
 */
struct cprof_error *cprof_ring_run(const struct cprof_ring *ring,
				   struct cprof_ring_counts *ret_counts);

#endif
