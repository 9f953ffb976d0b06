/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/baseline_account.h - what the allocators of a process hold, as rows and totals: no process, no
 * allocator.
 *
 * Readers of allocators (baseline_source.h) write it, who makes a profile or explains the resident memory reads it.
 *
 * A row is a kind of blocks in use: allocator, arena, size class, type. A reader that sees each block gives them to
 * cprof_baseline_account_block(); one that knows counts only gives those to cprof_baseline_account_count(). Bytes of a
 * block are what the program may use of it (malloc_usable_size), the allocator's headers and rounding are its OWN.
 *
 * Totals tell of each allocator what all the memory in its ranges is: the parts of one allocator add up to the sum of its
 * ranges; what the reader cannot tell is CPROF_BASELINE_UNTOLD.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_BASELINE_ACCOUNT_H
#define CPROF_ATTACH_HEAP_BASELINE_BASELINE_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/heap/baseline/baseline_blocks.h"
#include "attach/heap/baseline/baseline_stacks.h"
#include "cprof/error.h"
#include "cprof/hash.h"
#include "cprof/intern.h"

/* What bytes of an allocator's memory are. */
enum cprof_baseline_part {
	CPROF_BASELINE_IN_USE, /* of the program's blocks */
	CPROF_BASELINE_CACHED, /* given back, kept at hand for the next call: tcache, fastbins, thread caches */
	CPROF_BASELINE_FREE, /* given back, in lists of free blocks */
	CPROF_BASELINE_TOP,  /* never handed out yet, at the end of an arena */
	CPROF_BASELINE_OWN,  /* the allocator's own: headers, tables, arenas */
	CPROF_BASELINE_UNTOLD, /* in its ranges, but not to be told: swapped out, unreadable, broken */
	CPROF_BASELINE_N_PARTS
};

struct cprof_baseline_totals {
	struct cprof_baseline_sum {
		uint64_t objects, bytes;
		uint64_t
			absent; /* of these bytes, in pages that are not in memory (never touched, given back, swapped out) */
	} parts[CPROF_BASELINE_N_PARTS];
	uint64_t
		resyncs; /* times that the reader met what cannot be and had to look for the next sound place */
	uint64_t error_objects, error_bytes; /* IN_USE may be wrong by so much, either way */
};

/* A kind of blocks. Texts are numbers of account->texts, 0: none. */
struct cprof_baseline_class {
	uint32_t allocator;   /* index of account->allocators */
	uint32_t arena, type; /* "main arena"; "std::string" */
	uint64_t low, high;   /* usable bytes of a block: [low, high] */
};

struct cprof_baseline_row {
	struct cprof_baseline_class class;
	uint64_t objects, bytes;
	uint32_t next; /* row + 1 with the same hash */
	double fresh,
		fresh_bytes; /* of them, blocks that took the place of older ones: estimated */
	double stood, stood_bytes;           /* estimates of its blocks whose stacks are known, */
	uint64_t stackless, stackless_bytes; /* and the others (baseline_spread.h) */
};

struct cprof_baseline_allocator {
	const char *name; /* static: "glibc malloc" */
	struct cprof_baseline_totals totals;
	char *untold_why; /* owned; why some or all of it cannot be told, NULL: all is */
};

/* Memory that is an allocator's: [start, end). Of one allocator they do not overlap. */
struct cprof_baseline_range {
	uint64_t start, end;
	uint32_t allocator;
};

struct cprof_baseline_account {
	struct cprof_intern texts;
	struct cprof_baseline_allocator *allocators; /* owned, as all the rest */
	uint32_t n_allocators, cap_allocators;
	struct cprof_baseline_row *rows;
	uint32_t n_rows, cap_rows;
	struct cprof_map64 by_hash;
	struct cprof_baseline_range *ranges;
	uint32_t n_ranges, cap_ranges;
	struct cprof_baseline_blocks
		blocks; /* in use, where the reader sees each block: by the address that the program has */
	struct cprof_baseline_stacks
		stacks; /* of blocks that allocators have sampled themselves (baseline_spread.h), */
	struct cprof_baseline_stacks
		growth; /* and where they took memory from the kernel; `row` is the allocator */
	struct cprof_baseline_account
		*before;  /* borrowed: count only what was in use there, too; NULL: all */
	uint64_t took_ns; /* processor time of reading */
	const char *
		not_found; /* static; the last allocator for which the search did not come to an end; NULL: none */
	/* Where `before` is set: blocks known to be younger, by address, and for how many each stands (a double's bits). */
	struct cprof_map64 fresh;
	struct cprof_baseline_blocks fresh_blocks;
};

/* Errors: NO_MEMORY. `before` must outlive it. */
struct cprof_error *cprof_baseline_account_init(struct cprof_baseline_account *account,
						struct cprof_baseline_account *before);
void cprof_baseline_account_deinit(struct cprof_baseline_account *account);

/* One more allocator; `name` is static. Errors here and below: NO_MEMORY. */
struct cprof_error *cprof_baseline_account_allocator(struct cprof_baseline_account *account,
						     const char *name, uint32_t *ret_allocator);

/* Some memory of the allocator cannot be told, and why; the first reason stays. */
struct cprof_error *cprof_baseline_account_untold(struct cprof_baseline_account *account,
						  uint32_t allocator, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

struct cprof_error *cprof_baseline_account_range(struct cprof_baseline_account *account,
						 uint32_t allocator, uint64_t start, uint64_t end);

/* The row of that kind, made where it is new; its number stays. */
struct cprof_error *cprof_baseline_account_row(struct cprof_baseline_account *account,
					       const struct cprof_baseline_class *class,
					       uint32_t *ret_row);

/*
 * One block in use, at `addr` as the program knows it, of `bytes` usable bytes. A block that was counted already is not
 * again. Counts in the totals of its allocator (IN_USE), too, whether or not it was there `before`.
 */
struct cprof_error *cprof_baseline_account_block(struct cprof_baseline_account *account,
						 uint32_t row, uint64_t addr, uint64_t bytes);

/* The same of `n` blocks, which are all of one allocator. */
struct cprof_baseline_block {
	uint64_t addr;
	uint32_t bytes, row;
};
struct cprof_error *cprof_baseline_account_blocks(struct cprof_baseline_account *account,
						  const struct cprof_baseline_block *blocks,
						  size_t n);

/* It turns out to be free (in a cache): out of the row, and from IN_USE to `part`. False: it was never counted. */
bool cprof_baseline_account_unblock(struct cprof_baseline_account *account, uint32_t row,
				    uint64_t addr, uint64_t bytes, enum cprof_baseline_part part);

/* So many blocks in use, where nobody knows which. With `before`, at most as many as that has in the same row. */
void cprof_baseline_account_count(struct cprof_baseline_account *account, uint32_t row,
				  uint64_t objects, uint64_t bytes);

/*
 * A block in use at `addr` was made after `before`, at a place that an older one had, and stands for `weight` such blocks
 * (one over the probability that it was seen). Before the reading. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_baseline_account_fresh(struct cprof_baseline_account *account,
						 uint64_t addr, double weight);

/* After the reading: take those, as many as they stand for, out of their rows. Returns how many bytes that was. */
uint64_t cprof_baseline_account_settle(struct cprof_baseline_account *account);

/* Bytes of another part. */
void cprof_baseline_account_part(struct cprof_baseline_account *account, uint32_t allocator,
				 enum cprof_baseline_part part, uint64_t objects, uint64_t bytes);

/* Sums over all allocators. */
struct cprof_baseline_totals
cprof_baseline_account_totals(const struct cprof_baseline_account *account);

#endif
