/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/serve/recording.h - one mode that samples one target in a process of its own, for as long as it is wanted.
 *
 * Profiles of what it has so far are asked for as often as one likes (attach/run/snapshots.h). When it is ended, when its target ends or when
 * the server has been killed, it leaves the target as it was found.
 */
#ifndef CPROF_ATTACH_SERVE_RECORDING_H
#define CPROF_ATTACH_SERVE_RECORDING_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/modes/mode.h"
#include "base/work_result.h"
#include "attach/serve/profile_form.h"
#include "base/work.h"
#include "attach/target/target.h"
#include "cprof/error.h"

/* What every work that looks at a target is told; all of it is borrowed. */
struct cprof_subject {
	pid_t pid; /* 0: a recording of whoever is asked for, in one stream (a mode's run_shared) */
	uint64_t start_ticks; /* it is that process, and no other that got its id */
	const struct cprof_mode_requests *requests;
	struct cprof_run_naming naming;
	struct cprof_thread_choice *threads; /* borrowed; as in run.h */
	struct cprof_run_request_labels request_labels;
	const char *command_line;
	bool last; /* a recording's result is the part (CPROF_SHAPE_PART) that it has at its end */
	uint64_t window_ns; /* the longest stretch that a mode with windows is asked for; 0: none */
	uint64_t step_ns; /* how finely it is known there when things were; 0: as fits the length */
};

/* In a work: hold on to the target. Errors: those of cprof_target_open(); NO_TARGET if it is another process. */
struct cprof_error *cprof_subject_open(const struct cprof_subject *subject,
				       struct cprof_target **ret_target);

struct cprof_recording {
	struct cprof_work work; /* its result is how the recording ended */
	int ask_fd;             /* owned */
	uint64_t started_mono_ns;
	bool shared;
	struct cprof_counts
		*counts; /* owned, but its process writes it: as of some seconds ago; NULL: none */
};

/* What an earlier recording of the same has left. */
struct cprof_recording_before {
	struct cprof_buffer
		carry; /* owned; a profile that it has given out, or empty: its counts are in those of the next */
	bool broke; /* one was killed, and may have left something in the target still */
};

/* `before` is borrowed. Errors: OS. That the mode cannot be had is told by the work's result. */
struct cprof_error *cprof_recording_start(const struct cprof_subject *subject,
					  const struct cprof_mode *mode,
					  const struct cprof_recording_before *before,
					  struct cprof_recording *ret_recording);

/*
 * What it has of `subject`, in a form. Of a shared one: who asks for the first time `begins`, and says when he wants it no more. Errors: OS.
 */
struct cprof_error *cprof_recording_ask(const struct cprof_recording *recording,
					const struct cprof_subject *subject, bool begins,
					const struct cprof_profile_form *form,
					struct cprof_work_reader *ret_reader);
void cprof_recording_leave(const struct cprof_recording *recording,
			   const struct cprof_subject *subject);
void cprof_recording_end(struct cprof_recording *recording);

#endif
