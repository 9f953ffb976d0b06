/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/heap_before.h - what a process's allocators held before we came, in its profile: -heap-baseline and -snapshot.
 *
 * Brings together a process of a session, the readers of allocators (baseline/baseline_sources.h) and the profile: rows
 * [before attach] -> allocator -> arena -> size class -> type. Does not stop the target.
 */
#ifndef CPROF_ATTACH_HEAP_HEAP_BEFORE_H
#define CPROF_ATTACH_HEAP_HEAP_BEFORE_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/heap/baseline/baseline_account.h"
#include "attach/heap/resident/smaps.h"
#include "attach/run/session.h"
#include "cprof/error.h"
#include "cprof/hash.h"

struct cprof_heap_before {
	struct cprof_session *session; /* borrowed, as the process of it */
	struct cprof_process *process;
	struct cprof_run_log *log;
	bool snapshot; /* it is all there is, not what was before something else */
	unsigned
		growth_at; /* where the values of heaps' growth are among a row's; 0: they are not wanted */
	char who[96]; /* put before what is said: of several processes, whose it is */
	bool then_read, now_read;
	struct cprof_baseline_account then; /* at the attach */
	struct cprof_baseline_account now;  /* at the end: what of that is still held */
	struct cprof_heap_before_fresh {    /* sampled blocks that took an older one's place */
		uint64_t id, addr;
		double weight;
	} * fresh; /* owned */
	size_t n_fresh, cap_fresh;
	size_t forget_at;         /* so many are worth a look at which of them live */
	uint64_t resident_bytes;  /* of heap-like memory at the attach */
	struct cprof_smaps smaps; /* of a snapshot, as it was after the allocators were read; the
				     kernel goes through all pages for it */
};

/* All is borrowed. */
void cprof_heap_before_init(struct cprof_heap_before *before, struct cprof_session *session,
			    struct cprof_process *process, struct cprof_run_log *log);
void cprof_heap_before_deinit(struct cprof_heap_before *before);

/* What is held at this moment, before anything is watched. Errors: NO_TARGET, DENIED, OS, NO_MEMORY. */
struct cprof_error *cprof_heap_before_read(struct cprof_heap_before *before);

/* A sampled block: it may lie where an older one was, which is gone then. Errors: NO_MEMORY. */
struct cprof_error *cprof_heap_before_sampled(struct cprof_heap_before *before, uint64_t id,
					      uint64_t addr, double weight);

/* Forget those that live no more, where there are many; `alive` is as of now. */
void cprof_heap_before_forget(struct cprof_heap_before *before, const struct cprof_map64 *alive);

/*
 * What of it is held still. `alive`: ids of the sampled blocks that live. `gone`: the process cannot be asked any more, then it
 * is what was held at the attach. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_heap_before_read_again(struct cprof_heap_before *before,
						 const struct cprof_map64 *alive, bool gone);

/*
 * The rows into the session's profile, and what is to be said into the log. `zeros` values are put before the two of a
 * row, objects and bytes in use. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_heap_before_add(struct cprof_heap_before *before, unsigned zeros);

/* The account that is newest, NULL: nothing was read. */
const struct cprof_baseline_account *
cprof_heap_before_account(const struct cprof_heap_before *before);

#endif
