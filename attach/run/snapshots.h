/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/snapshots.h - profiles of what a run has sampled so far, while it goes on sampling.
 *
 * Whoever wants one sends a datagram to the run with the write end of a pipe. The run's process forks: its copy, which has
 * all that was sampled until then, names and writes the profile; the run itself loses a millisecond. The copy
 * never touches the target but to read it.
 */
#ifndef CPROF_ATTACH_RUN_SNAPSHOTS_H
#define CPROF_ATTACH_RUN_SNAPSHOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/profile.h"

#define CPROF_SNAPSHOT_COPIES 8  /* at work at once; who asks meanwhile waits */
#define CPROF_SNAPSHOT_ASK    64 /* bytes that go with an ask at most */

/* What a profile is to be made into, for the bytes that came with the ask; the profile is given away. Runs in the copy. */
typedef struct cprof_error *cprof_snapshot_form_fn(void *ctx, const uint8_t *ask, size_t n,
						   struct cprof_profile *profile,
						   struct cprof_buffer *out);

struct cprof_snapshots {
	int ask_fd; /* borrowed; of a SOCK_SEQPACKET pair, non-blocking */
	cprof_snapshot_form_fn *form;
	void *form_ctx;
	pid_t copies[CPROF_SNAPSHOT_COPIES]; /* 0: none */
};

/* The descriptor to wait for; -1 while as many copies are at work as may be. */
int cprof_snapshots_fd(struct cprof_snapshots *snapshots);

/*
 * Answer who has asked, if anybody has: `finish` makes the profile, in the copy. What was sampled has to be in memory: drain
 * first. Errors: NO_MEMORY, OS, of this process; those of finish() go to who asked.
 */
struct cprof_error *
cprof_snapshots_take(struct cprof_snapshots *snapshots,
		     struct cprof_error *(*finish)(void *ctx, struct cprof_profile **ret_profile),
		     void *ctx);

/* Whose answers nobody waits for any more. */
void cprof_snapshots_end(struct cprof_snapshots *snapshots);

/* The other side: ask over `fd`, the other end of the pair. `*ret_result_fd` is the caller's, for a cprof_work_reader. */
struct cprof_error *cprof_snapshots_ask(int fd, const void *ask, size_t n, int *ret_result_fd);

#endif
