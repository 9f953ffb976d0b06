/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/baseline_teller.h - one reader's way into an account: rows by its own numbers, parts with what of
 * them is not in memory.
 *
 * For readers that know the size class of each block (jemalloc, musl, mimalloc, gperftools).
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_BASELINE_TELLER_H
#define CPROF_ATTACH_HEAP_BASELINE_BASELINE_TELLER_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/heap/baseline/baseline_account.h"
#include "attach/heap/baseline/baseline_memory.h"
#include "cprof/error.h"
#include "cprof/hash.h"

struct cprof_baseline_teller {
	struct cprof_baseline_memory *memory;   /* borrowed */
	struct cprof_baseline_account *account; /* borrowed */
	uint32_t allocator;
	struct cprof_map64 rows; /* key -> row */
	uint64_t last_key;       /* the one asked last, */
	uint32_t last_row;       /* and + 1 of its row; 0: none yet */
	uint64_t looked_at;      /* blocks, one by one */
};

/* Adds the allocator to the account; `name` is static. Errors here and below: NO_MEMORY. */
struct cprof_error *cprof_baseline_teller_init(struct cprof_baseline_teller *teller,
					       struct cprof_baseline_memory *memory,
					       struct cprof_baseline_account *account,
					       const char *name);
void cprof_baseline_teller_deinit(struct cprof_baseline_teller *teller);

/* The row of `key`, made of `arena` (may be NULL) and sizes [low, high] where there is none yet. */
struct cprof_error *cprof_baseline_teller_row(struct cprof_baseline_teller *teller, uint64_t key,
					      const char *arena, uint64_t low, uint64_t high,
					      uint32_t *ret_row);

/* The same for a large block: a row for each power of two. Keys are above 2^63 then. */
struct cprof_error *cprof_baseline_teller_large_row(struct cprof_baseline_teller *teller,
						    uint64_t bytes, uint32_t *ret_row);

/*
 * May `n` more blocks be looked at one by one? A few words can say that there are millions; past a thousand million of
 * them, or so, *ret_may is false, and the allocator has a reason for what is not told.
 */
struct cprof_error *cprof_baseline_teller_may_look(struct cprof_baseline_teller *teller, uint64_t n,
						   bool *ret_may);

/*
 * One block in use, of which `absent` bytes are not in memory. Blocks of classes of 8 bytes, which the account's set cannot tell
 * apart, are counted only: _tiny().
 */
struct cprof_error *cprof_baseline_teller_block(struct cprof_baseline_teller *teller, uint32_t row,
						uint64_t addr, uint64_t bytes, uint64_t absent);

void cprof_baseline_teller_tiny(struct cprof_baseline_teller *teller, uint32_t row,
				uint64_t objects, uint64_t absent);

/* Bytes of another part, of which `absent` are not in memory. */
void cprof_baseline_teller_part(struct cprof_baseline_teller *teller, enum cprof_baseline_part part,
				uint64_t objects, uint64_t bytes, uint64_t absent);

/* The bytes [start, end) of another part; which of them are in memory is looked up. */
void cprof_baseline_teller_place(struct cprof_baseline_teller *teller,
				 enum cprof_baseline_part part, uint64_t objects, uint64_t start,
				 uint64_t end);

/* How many of [start, end) are not in memory. */
uint64_t cprof_baseline_teller_absent(struct cprof_baseline_teller *teller, uint64_t start,
				      uint64_t end);

/* [start, end) is the allocator's. */
struct cprof_error *cprof_baseline_teller_range(struct cprof_baseline_teller *teller,
						uint64_t start, uint64_t end);

/* Totals of the allocator; valid until another one is added. */
struct cprof_baseline_totals *cprof_baseline_teller_totals(struct cprof_baseline_teller *teller);

#endif
