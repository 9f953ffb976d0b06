/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/glibc_rows.h - the account's rows for blocks of glibc's: by arena, size class and C++ class.
 *
 * A heap has millions of blocks and some hundred rows. So a row is found by the number of its class, and where the first word may be a
 * virtual table's, in a small table by that word, both without a call; only what is not there yet is asked for.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_GLIBC_ROWS_H
#define CPROF_ATTACH_HEAP_BASELINE_GLIBC_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/heap/baseline/baseline_account.h"
#include "attach/heap/baseline/baseline_types.h"
#include "attach/heap/baseline/glibc_arena.h"
#include "cprof/error.h"
#include "cprof/hash.h"

#define CPROF_GLIBC_SMALL   1032u /* usable bytes up to which each size is a class of its own */
#define CPROF_GLIBC_CLASSES 512u  /* more than there are up to 2^64 bytes */
#define CPROF_GLIBC_WORDS   256u  /* first words that are remembered, a power of two */

struct cprof_glibc_rows {
	struct cprof_baseline_account *account; /* borrowed */
	struct cprof_baseline_types *types;     /* borrowed; NULL: not asked */
	uint32_t allocator;
	bool entered;
	uint64_t arena;      /* whose rows these are; 0: blocks that are mapped by themselves */
	uint32_t arena_text; /* and its name */
	uint32_t by_class[CPROF_GLIBC_CLASSES]; /* + 1 of the row without type */
	struct cprof_glibc_word_row {
		uint64_t word;
		uint32_t class, row; /* + 1; 0: none */
	} by_word[CPROF_GLIBC_WORDS];
	struct cprof_map64 typed; /* word and class -> row + 1 */
};

/* A zeroed struct with the first three set has no rows. */
void cprof_glibc_rows_deinit(struct cprof_glibc_rows *rows);

/* Rows from now on are those of `arena`; NULL: of blocks mapped by themselves. Errors here and below: NO_MEMORY. */
struct cprof_error *cprof_glibc_rows_enter(struct cprof_glibc_rows *rows,
					   const struct cprof_glibc_arena *arena);

/* The row for a block of that many usable bytes whose first word is `word`. */
struct cprof_error *cprof_glibc_rows_row(struct cprof_glibc_rows *rows, uint64_t usable,
					 uint64_t word, uint32_t *ret_row);

/* Up to CPROF_GLIBC_SMALL each size is a class; above, there are eight for each power of two. */
static inline uint32_t cprof_glibc_class(uint64_t usable)
{
	if (usable <= CPROF_GLIBC_SMALL)
		return (uint32_t)usable / CPROF_GLIBC_ALIGN;
	const unsigned shift = 63 - (unsigned)__builtin_clzll(usable) - 3;
	return CPROF_GLIBC_SMALL / CPROF_GLIBC_ALIGN + 1 + (shift - 7) * 8 +
	       (uint32_t)(usable >> shift & 7);
}

static inline struct cprof_glibc_word_row *cprof_glibc_rows_of_word(struct cprof_glibc_rows *rows,
								    uint64_t word, uint32_t class)
{
	return &rows->by_word[(word >> 3 ^ word >> 12 ^ class * 5) % CPROF_GLIBC_WORDS];
}

/* The same row + 1 where it was asked for before; 0: ask. */
static inline uint32_t cprof_glibc_rows_known(struct cprof_glibc_rows *rows, uint64_t usable,
					      uint64_t word)
{
	const uint32_t class = cprof_glibc_class(usable);
	if (!rows->types || !cprof_baseline_types_may(rows->types, word))
		return rows->by_class[class];
	const struct cprof_glibc_word_row *known = cprof_glibc_rows_of_word(rows, word, class);
	return known->word == word && known->class == class ? known->row : 0;
}

#endif
