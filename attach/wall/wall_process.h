/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/wall/wall_process.h - one process of a wall profile: its account, its waits, its CPU samples, and what of them is known so far.
 *
 * The window, the tier and the session, which it shares with the others, are wall_run.h's. Changes nothing in the process and stops nobody.
 */
#ifndef CPROF_ATTACH_WALL_WALL_PROCESS_H
#define CPROF_ATTACH_WALL_WALL_PROCESS_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/cpu/cpu_run_feed.h"
#include "attach/run/time_spans.h"
#include "attach/wall/ledger.h"
#include "attach/wall/wall_parts.h"
#include "attach/wall/wall_ring.h"
#include "attach/wall/wall_rows.h"
#include "attach/wall/wall_tier.h"
#include "attach/waits/wait_watch.h"
#include "cprof/error.h"

/* What all of one run have together; borrowed. */
struct cprof_wall_common {
	const struct cprof_run *run;
	struct cprof_session *session;
	struct cprof_contexts *contexts;
	struct cprof_cpu_request cpu;
	struct cprof_wait_request waits;
	const struct cprof_wall_tier *tier; /* set before anything is opened */
};

struct cprof_wall_process {
	const struct cprof_wall_common *common;
	struct cprof_run alone; /* the run, of this process only: for who opens events */
	struct cprof_wait_intake intake;
	struct cprof_wait_watch watch;
	struct cprof_cpu_feed *feed; /* owned; NULL: no samples */
	void *ledger_state;          /* owned; the tier's */
	struct cprof_ledger ledger;
	struct cprof_wall_parts parts;
	struct cprof_time_spans samples; /* of each part (key), when they were */
	struct cprof_wall_ring ring;     /* where the run looks back */
	uint64_t polled_ns;
};

/* The `at`-th target of common->run. It stays where it is: others point into it. */
void cprof_wall_process_init(struct cprof_wall_process *process,
			     const struct cprof_wall_common *common, size_t at);
void cprof_wall_process_deinit(struct cprof_wall_process *process);

/* By common->tier: seen from now on. Errors: those of its three parts; nothing is open then. */
struct cprof_error *cprof_wall_process_open(struct cprof_wall_process *process);
void cprof_wall_process_close(struct cprof_wall_process *process);

/* The window is about to begin, at `start_ns`, which the run's window does not say yet; then it has. */
void cprof_wall_process_begin(struct cprof_wall_process *process, uint64_t start_ns);
void cprof_wall_process_started(struct cprof_wall_process *process);

/* What to wait for, as many as fit, and for how long at most. */
size_t cprof_wall_process_fds(struct cprof_wall_process *process, struct pollfd *fds, size_t cap);
uint64_t cprof_wall_process_pause_ns(const struct cprof_wall_process *process);

/* Contexts of threads that are new are read from now on (wall_requests.h). Errors: NO_MEMORY. */
struct cprof_error *cprof_wall_process_look(struct cprof_wall_process *process);

/* Take what has come, contexts too. Errors: of the parts; NO_MEMORY. */
struct cprof_error *cprof_wall_process_turn(struct cprof_wall_process *process);

/* The window was over at `end_ns`: before anything else, as the threads go on. Returns when it was over indeed (ledger_source.h). */
uint64_t cprof_wall_process_stop(struct cprof_wall_process *process, uint64_t end_ns);

/* The window is over. Then, once: all accounts, and where the run looks back the part that it is asked for. Errors: as above. */
struct cprof_error *cprof_wall_process_end(struct cprof_wall_process *process);
struct cprof_error *cprof_wall_process_account(struct cprof_wall_process *process);

/* All that is known of times by steps of at least so much; returns how much they are. */
uint64_t cprof_wall_process_step_ns(const struct cprof_wall_process *process);
struct cprof_error *cprof_wall_process_widen(struct cprof_wall_process *process, uint64_t step_ns);

#endif
