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

#include "attach/target/target.h"
#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/profile.h"

#define CPROF_SNAPSHOT_COPIES 8   /* at work at once; who asks meanwhile waits */
#define CPROF_SNAPSHOT_ASK    256 /* bytes that go with an ask at most */

/* What a profile is to be made into, for the bytes that came with the ask; the profile is given away. Runs in the copy. */
typedef struct cprof_error *cprof_snapshot_form_fn(void *ctx, const uint8_t *ask, size_t n,
						   struct cprof_profile *profile,
						   struct cprof_buffer *out);

struct cprof_snapshots {
	int ask_fd; /* borrowed; of a SOCK_SEQPACKET pair, non-blocking */
	const struct cprof_target
		*last_of; /* as `last`, but only where this one has ended; NULL: no such */
	bool last; /* the run hands out all that it has at its end as well, as one that nobody asks does */
	/* In the copy, before the profile is made: what it is to be of. NULL: all asks that come together are of one profile, else of one each. */
	void (*begin)(void *ctx, const uint8_t *ask, size_t n);
	/* In the run itself, which goes on at once: an answer that needs no profile. False: it needs one. NULL: all do. */
	bool (*at_once)(void *ctx, const uint8_t *ask, size_t n, struct cprof_buffer *out);
	cprof_snapshot_form_fn *form;
	void *form_ctx;
	struct cprof_snapshot_copy {
		pid_t pid; /* 0: none */
		int fd;    /* owned; readable when it has ended; -1: not to be had */
	} copies[CPROF_SNAPSHOT_COPIES];
};

/* The descriptor to wait for: that of asks, or of a copy while as many are at work as may be; -1: none. */
int cprof_snapshots_fd(struct cprof_snapshots *snapshots);

/*
 * Answer who has asked, if anybody has: `finish` makes the profile, in the copy. What was sampled has to be in memory: drain
 * first. Errors: NO_MEMORY, OS, of this process; those of finish() go to who asked.
 */
struct cprof_error *
cprof_snapshots_take(struct cprof_snapshots *snapshots,
		     struct cprof_error *(*finish)(void *ctx, struct cprof_profile **ret_profile),
		     void *ctx);

/* One who has asked. */
struct cprof_snapshot_ask {
	int fd; /* owned: where the answer goes; -1: nothing is asked, something is told */
	size_t n;
	uint8_t bytes[CPROF_SNAPSHOT_ASK];
};

/*
 * The same in two steps, for who has profiles of several targets: whether there is a place for one more copy; who has asked, if anybody has
 * and there is; then the answer to all of these, which are let go. Errors as above; then the next ask is as good.
 */
bool cprof_snapshots_place(struct cprof_snapshots *snapshots);
bool cprof_snapshots_next(struct cprof_snapshots *snapshots, struct cprof_snapshot_ask *ret_ask);
struct cprof_error *cprof_snapshots_answer(
	struct cprof_snapshots *snapshots, const struct cprof_snapshot_ask *asks, size_t n,
	struct cprof_error *(*finish)(void *ctx, struct cprof_profile **ret_profile), void *ctx);

/* The answer is that there is no profile. Takes `err`, and lets the ask go. */
void cprof_snapshots_refuse(const struct cprof_snapshot_ask *ask, struct cprof_error *err);

/* Whether a run with these snapshots (NULL: with none) is to hand out a profile when it ends. */
bool cprof_snapshots_want_last(const struct cprof_snapshots *snapshots);

/* Whose answers nobody waits for any more. */
void cprof_snapshots_end(struct cprof_snapshots *snapshots);

/* The other side: ask over `fd`, the other end of the pair. `*ret_result_fd` is the caller's, for a cprof_work_reader. */
struct cprof_error *cprof_snapshots_ask(int fd, const void *ask, size_t n, int *ret_result_fd);

/* Tell something that wants no answer. Errors: OS. */
struct cprof_error *cprof_snapshots_tell(int fd, const void *bytes, size_t n);

#endif
