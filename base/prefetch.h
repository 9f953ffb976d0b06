/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/prefetch.h - work that will be wanted later, done meanwhile by a child process at low priority.
 *
 * Each piece of work fills a room of its own in memory shared with the child. Whoever wants the result takes it if it is
 * there, and else does the work himself: nothing ever waits for the child, and what it does is lost without harm when it
 * is killed, runs into bad input or gets no processor. A process and not a thread, as a thread of low priority can keep
 * a lock of malloc or of our address space while others have the processor.
 *
 * Leaves what the work is to the callers. Only one thread may be running at cprof_prefetch_start().
 */
#ifndef CPROF_BASE_PREFETCH_H
#define CPROF_BASE_PREFETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CPROF_PREFETCH_MAX 64

/* Fill `room`; bytes made, 0: it cannot be done. Runs in the child: sees everything, and changes nothing but `room`. */
typedef size_t cprof_prefetch_fn(void *ctx, uint8_t *room, size_t cap);

struct cprof_prefetch_piece;

/* A zeroed struct has nothing to do. */
struct cprof_prefetch {
	pid_t child; /* 0: none */
	struct cprof_prefetch_job {
		cprof_prefetch_fn *fn;
		void *ctx;
		struct cprof_prefetch_piece *piece;
	} jobs[CPROF_PREFETCH_MAX]; /* what the next child is to do */
	size_t n_jobs;
	uint64_t cpu_ns; /* of children that have ended */
};

/* A job for the next child. The piece is the caller's; NULL: no memory, or enough to do already. */
struct cprof_prefetch_piece *cprof_prefetch_add(struct cprof_prefetch *prefetch,
						cprof_prefetch_fn *fn, void *ctx, size_t cap);

/* Start a child on what was added, unless there is nothing or one is at work; without one the pieces stay unmade. */
void cprof_prefetch_start(struct cprof_prefetch *prefetch);

/* Whether a child is at work. */
bool cprof_prefetch_busy(struct cprof_prefetch *prefetch);

/* Whoever works, stops, and is gone then (but for one that hangs in the kernel); pieces that were made stay. */
void cprof_prefetch_stop(struct cprof_prefetch *prefetch);

/* What was made, whole; NULL: not (yet). Borrowed from the piece. */
uint8_t *cprof_prefetch_piece_bytes(const struct cprof_prefetch_piece *piece, size_t *ret_n);

/* NULL is allowed. Not between cprof_prefetch_add() and the child's start. */
void cprof_prefetch_piece_free(struct cprof_prefetch_piece *piece);

#endif
