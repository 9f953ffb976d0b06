/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/locks/wait_evidence.h - how the futex words of a process are used: what tells a lock from a place where threads
 * wait for work, when no name does.
 *
 * A lock is taken by those who wait for it, and then they wake others; its word goes back to one of a few states. Who waits
 * for work is woken by somebody who never waits there, and the word that he watches is often a counter. Fed with every
 * wait that is kept (or in mutex mode release, by the thread that made it); asked once at the end.
 *
 * Pure, and bounded: beyond CPROF_WAIT_EVIDENCE_MAX words new ones are not followed, and say nothing.
 */
#ifndef CPROF_ATTACH_LOCKS_WAIT_EVIDENCE_H
#define CPROF_ATTACH_LOCKS_WAIT_EVIDENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/locks/wait.h"
#include "cprof/error.h"
#include "cprof/hash.h"

#define CPROF_WAIT_EVIDENCE_MAX 65536

/* Of one word. */
struct cprof_wait_evidence {
	uint32_t value;         /* that its first wait was made with */
	uint32_t waits, others; /* seen; those of them made with another value */
	uint32_t threads;       /* that waited (in mutex mode released), distinct ones */
	uint32_t wakes;         /* waits that a thread of the target ended */
	uint32_t untold;        /* waits that a call ended of which nobody saw whose it was */
	uint32_t words, odd;    /* seen after waits; those of them that no lock goes to */
	bool crossed;           /* a thread that has waited here has woken others here */
};

struct cprof_wait_evidences {
	struct cprof_map64 by_addr;        /* -> index in words */
	struct cprof_map64 roles;          /* hash of address and thread -> what it did there */
	struct cprof_wait_evidence *words; /* owned */
	uint32_t n_words, cap_words;
};

/* A zeroed struct is ready for use. */
void cprof_wait_evidence_deinit(struct cprof_wait_evidences *all);

/* A wait that is no futex call says nothing. Errors: NO_MEMORY. */
struct cprof_error *cprof_wait_evidence_note(struct cprof_wait_evidences *all,
					     const struct cprof_wait *wait);

/* What is known of the word at `addr`; all zero where nothing is. Never NULL; valid until the next note. */
const struct cprof_wait_evidence *cprof_wait_evidence_get(const struct cprof_wait_evidences *all,
							  uint64_t addr);

/* The word was watched for changes: waits with many values, or words after them that no lock has. */
bool cprof_wait_evidence_counts(const struct cprof_wait_evidence *evidence);

/*
 * It went to and fro between the states of a lock, and those who waited for it released it (or it was in a state that
 * nothing but locks have, "held and waited for").
 */
bool cprof_wait_evidence_locks(const struct cprof_wait_evidence *evidence);

#endif
