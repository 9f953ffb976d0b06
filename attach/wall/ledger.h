/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/wall/ledger.h - an account for every thread of a process: how its lifetime in the window divides into on CPU, waiting for
 * one, blocked, and stopped.
 *
 * Owns the accounts. Who keeps them, the scheduler's events or its own statistics, is ledger_source.h's; what stacks the time
 * goes to, wall_rows.h's. The sum of an account is the thread's lifetime in the window.
 */
#ifndef CPROF_ATTACH_WALL_LEDGER_H
#define CPROF_ATTACH_WALL_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach/run/time_spans.h"
#include "attach/target/target.h"
#include "attach/wall/ledger_bpf.h"
#include "cprof/error.h"
#include "cprof/hash.h"

/* Threads that ended and lived for less than this in the window share an account: there are too few samples of each. */
#define CPROF_LEDGER_SHORT_NS CPROF_LEDGER_YOUNG_NS

struct cprof_ledger_account {
	pid_t tid;                 /* 0: of several short-lived threads of that name */
	char name[CPROF_COMM_MAX]; /* "": ask the process */
	uint64_t ns[CPROF_LEDGER_STATES];
	uint64_t runs;    /* times that it was put on a CPU in the window */
	uint64_t threads; /* that it is of */
	bool ended;
};

struct cprof_ledger {
	struct cprof_ledger_account *accounts; /* owned */
	size_t n, cap;
	struct cprof_map64 by_tid;  /* -> index of the account that its time is in */
	struct cprof_map64 by_name; /* hash of a name -> index of the account of short-lived ones */
	uint64_t missed;            /* threads that nobody could keep an account of */
	bool timed;                 /* set by who wants to know when the time was */
	struct cprof_time_spans times; /* then: of each account (key) its states (values) */
};

/* A zeroed struct is an empty ledger. */
void cprof_ledger_deinit(struct cprof_ledger *ledger);

/*
 * Add one thread's account (its `threads` is 1). An ended one that was short goes to that of its name. One of a tid that
 * has an account already is added to it. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_ledger_add(struct cprof_ledger *ledger,
				     const struct cprof_ledger_account *account);

/*
 * When the time was that has been added for `tid`: `ns` of its states, evenly from from_ns to to_ns. Once a thread is short-lived no more
 * its account may be added, and this told, bit by bit. Nothing where nobody wants to know. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_ledger_when(struct cprof_ledger *ledger, pid_t tid, uint64_t from_ns,
				      uint64_t to_ns, const uint64_t ns[CPROF_LEDGER_STATES]);

/* Only accounts that have times, and of the threads that share one only those in `tids`. Errors: NO_MEMORY. */
struct cprof_error *cprof_ledger_keep(struct cprof_ledger *ledger, const struct cprof_map64 *tids);

/* The index of the account that the time of `tid` is in; SIZE_MAX: it has none. */
size_t cprof_ledger_find(const struct cprof_ledger *ledger, pid_t tid);

/* All states together. */
uint64_t cprof_ledger_life_ns(const struct cprof_ledger_account *account);

/* It has not been on a CPU in the window, not for a moment. */
bool cprof_ledger_never_ran(const struct cprof_ledger_account *account);

#endif
