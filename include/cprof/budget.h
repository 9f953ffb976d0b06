/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cprof/budget.h - what reading files that others wrote may cost us, for each file and for all of a run.
 *
 * Whoever is profiled chooses the files that we read: two megabytes can be written so that they inflate to gigabytes or
 * keep a reader busy for hours. Every reader charges what it is about to spend to the account of its file, and stops
 * where the account says no. Then that file is left out from there on, which is told once; the profile is written all
 * the same. The limits and the facts that they come from are in docs/security.md.
 *
 * Memory and reading are measured by what a file weighs on disk: real debug information grows three- to fourfold, and a
 * file with holes, or a bomb, weighs next to nothing. Work is counted in steps (an entry, a symbol, an instruction),
 * which come out the same on a busy machine. Leaves what is read, and what is done without it, to the readers.
 */
#ifndef CPROF_BUDGET_H
#define CPROF_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/hash.h"

#ifdef __cplusplus
extern "C" {
#endif

enum cprof_budget_kind {
	CPROF_BUDGET_OPEN,   /* files held open at once */
	CPROF_BUDGET_MAPPED, /* bytes of address space at once */
	CPROF_BUDGET_READ,   /* bytes read, whether they are kept or not */
	CPROF_BUDGET_HELD,  /* bytes of memory: pieces kept, what was inflated, tables made of it */
	CPROF_BUDGET_STEPS, /* pieces of work; some 10 to 50 ns each */
	CPROF_BUDGET_TIME,  /* ns of our processor time while names are looked up */
	CPROF_BUDGET_KINDS,
};

struct cprof_account {
	struct cprof_budget *budget; /* borrowed */
	char *name;                  /* owned; the file's, for messages */
	uint64_t disk;               /* bytes that it takes on disk */
	uint64_t spent[CPROF_BUDGET_KINDS];
	/* Set once something did not fit, with what it was. */
	bool over;
	bool over_all; /* the limit of all files, not of one */
	enum cprof_budget_kind over_kind;
};

/* A zeroed struct is a budget of which nothing is spent. */
struct cprof_budget {
	uint64_t factor; /* all limits times this; 0 is 1 */

	/* Private but for reading. */
	uint64_t spent[CPROF_BUDGET_KINDS];
	uint64_t disk;                   /* of all files that were opened */
	uint64_t memory;                 /* half of the machine's; 0: not looked up yet */
	uint64_t cpu_from_ns;            /* processor time at the last look; 0: it does not count */
	uint64_t next_look;              /* steps at the next one */
	struct cprof_account **accounts; /* owned */
	size_t n, cap;
	size_t n_over;
	struct cprof_map64 by_file; /* hash of device and inode -> index + 1 */
	uint64_t copies_ns;         /* waited for copies of files that only their user may read */
	bool copies_hang;           /* too long for one of them, or for all: no more are made */
};

void cprof_budget_deinit(struct cprof_budget *budget);

/*
 * The account of an open file; a file that was opened before has the same one. `name` is copied. Borrowed, as long as
 * the budget. Errors: OS, NO_MEMORY.
 */
struct cprof_error *cprof_budget_account(struct cprof_budget *budget, int fd, const char *name,
					 struct cprof_account **ret_account);

/* From now on processor time counts: names are being looked up, and nothing is sampled meanwhile. */
void cprof_budget_start_time(struct cprof_budget *budget);

/*
 * Whether `amount` more may be spent, and if so it is. An account of NULL pays for everything: files of our own, and
 * what a process's memory holds, which is small. False leaves smaller things possible, but not more steps.
 */
bool cprof_account_charge(struct cprof_account *account, enum cprof_budget_kind kind,
			  uint64_t amount);

/* What was charged as OPEN or MAPPED is no longer used. */
void cprof_account_release(struct cprof_account *account, enum cprof_budget_kind kind,
			   uint64_t amount);

/* What may be spent at most on a file that takes `disk` bytes; of all together where `account` is NULL. */
uint64_t cprof_budget_limit(const struct cprof_budget *budget, const struct cprof_account *account,
			    enum cprof_budget_kind kind);

/* Which limit an account that is over has met, in words: "more than 66 MB of memory for a file of 0.2 MB". */
void cprof_account_describe(const struct cprof_account *account, struct cprof_buffer *out);

#ifdef __cplusplus
}
#endif

#endif
