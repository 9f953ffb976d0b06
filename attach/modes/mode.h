/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/modes/mode.h - what can be profiled: one row per mode, listed once in mode.c.
 *
 * A mode turns processes and a window of time into one finished profile. It knows how its samples come about; from
 * registers and stack bytes to the profile it uses attach/run/session.h like every other mode. Choosing the mode,
 * naming and writing the file, pushing it and printing are the caller's.
 *
 * To add one: a room with a *_run.h (its request and its run function), a member in cprof_mode_requests with its
 * defaults, and a row in mode.c; then options that fill the request (attach/cli/cli_options.c).
 */
#ifndef CPROF_ATTACH_MODES_MODE_H
#define CPROF_ATTACH_MODES_MODE_H

#include <sys/types.h>

#include "attach/cpu/cpu_run.h"
#include "attach/cpu/cpu_run_shared.h"
#include "attach/heap/heap_run.h"
#include "attach/run/run.h"
#include "attach/run/run_runner.h"
#include "attach/threads/threads_run.h"
#include "attach/waits/wait_request.h"
#include "attach/wall/wall_request.h"
#include "cprof/error.h"
#include "cprof/profile.h"

/* One request for each kind of run; a mode looks at its own. */
struct cprof_mode_requests {
	struct cprof_cpu_request cpu;
	struct cprof_heap_request heap;
	struct cprof_wait_request waits; /* block and mutex; `releases` is the mode's to set */
	struct cprof_threads_request threads;
	struct cprof_wall_request wall;
};

/* What is done where nothing else is asked for. */
extern const struct cprof_mode_requests cprof_mode_defaults;

struct cprof_mode {
	const char *name;    /* "cpu"; also in the default name of a file */
	const char *summary; /* one line for people */
	size_t max_targets;  /* 0: as many as asked for */
	bool instant;        /* looks at one moment: the window's length says nothing to it */
	bool has_requests;   /* its samples bear labels of requests: run->request_labels */
	bool has_times;      /* its samples can say when they were: run->timeline */
	bool tells_times;    /* and do so where nobody asks */
	bool no_threads;     /* its samples are of no thread: run->threads means nothing to it */
	bool has_text;       /* can print text, and with it read a core file */
	bool apart; /* asks of each process by itself whether it can be done, and leaves out those that it cannot be done to */
	bool looks_back; /* its run can have a ring (attach/run/run.h) */
	bool windows; /* what it has of a stretch of time is no difference of what it had before and after: a ring tells it */
	enum cprof_run_effect effect; /* on which depends what may run the target */
	bool alters_target; /* a second Ctrl-C waits until run() has returned and put things back */

	/* With these requests it takes one look and changes nothing, whatever stands above. NULL: never. */
	bool (*only_looks)(const struct cprof_mode_requests *requests);

	/* Take away what a run that was killed has left in a process; NULL: none leaves anything. Why something has to
	 * stay for now is appended to `kept`, which may be NULL. Errors: those of cprof_heap_repair(). */
	struct cprof_error *(*clean)(pid_t pid, struct cprof_buffer *kept);

	/* What it may do to the target at most, in a line that is told before; empty: nothing. NULL: never anything. */
	void (*promise)(const struct cprof_mode_requests *requests, char *text, size_t n);

	/*
	 * For cprof_mode_run(). Sample until the window is over, and hand out the finished profile. A target that ends early ends the window;
	 * that is no error. On return, error or not, every target is as it was found. Where the window takes asks for snapshots, these
	 * are all that is handed out: *ret_profile is NULL.
	 */
	struct cprof_error *(*run)(const struct cprof_run *run,
				   const struct cprof_mode_requests *requests,
				   struct cprof_profile **ret_profile);

	/* One stream for many processes, where requests let it: `shared` but for its request, which is filled in. NULL: there is none. */
	struct cprof_error *(*run_shared)(struct cprof_cpu_shared *shared,
					  const struct cprof_mode_requests *requests);
	bool (*can_share)(const struct cprof_mode_requests *requests);
};

extern const struct cprof_mode cprof_modes[];
extern const size_t cprof_n_modes;

/* Is it over at once? */
bool cprof_mode_is_instant(const struct cprof_mode *mode,
			   const struct cprof_mode_requests *requests);

/* Do it, where it can be done on these targets. Errors: the mode's own, UNSUPPORTED (what runs a target does not let it). */
struct cprof_error *cprof_mode_run(const struct cprof_mode *mode, const struct cprof_run *run,
				   const struct cprof_mode_requests *requests,
				   struct cprof_profile **ret_profile);

/* The mode called `name`; CPROF_ERR_USAGE naming the nearest one, or all of them. */
struct cprof_error *cprof_mode_find(const char *name, const struct cprof_mode **ret_mode);

#endif
