/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/live/live_table.h - what each function (or line, thread, module) has had: in the last window and since the start.
 *
 * A row is known by a hash of its name. There are never more than a bound: where it is crossed the rarest rows become one, and
 * that is remembered. What names mean, and which window is the last, is live_model.h's to say.
 */
#ifndef CPROF_ATTACH_LIVE_LIVE_TABLE_H
#define CPROF_ATTACH_LIVE_LIVE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"
#include "cprof/hash.h"

#define CPROF_LIVE_TYPES    6    /* sample types of a profile */
#define CPROF_LIVE_NAME_MAX 1000 /* bytes of a name that are kept */

/* In the order in which they stand on the screen. */
enum cprof_live_column {
	CPROF_LIVE_OWN_NOW,   /* in the last window, at the end of a stack */
	CPROF_LIVE_TOTAL_NOW, /* anywhere in a stack */
	CPROF_LIVE_OWN_ALL,   /* since the start */
	CPROF_LIVE_TOTAL_ALL,
	CPROF_LIVE_COLUMNS,
};

struct cprof_live_row {
	uint64_t key;    /* of its name */
	char *name;      /* owned */
	uint64_t sample; /* the last one that counted here */
	bool unknown;    /* what it was before this window: it was folded then, or others were */
	int64_t values[CPROF_LIVE_COLUMNS][CPROF_LIVE_TYPES];
};

struct cprof_live_table {
	struct cprof_live_row *rows; /* owned */
	size_t n, cap;
	size_t max;               /* rows that stay from window to window; twice as many in one */
	struct cprof_map64 index; /* key -> row + 1 */
	bool folded;              /* rows have become part of the one for the rest */
	uint64_t secret, sample;
};

/* The row that has what was folded. */
#define CPROF_LIVE_REST "(the rest)"

void cprof_live_table_init(struct cprof_live_table *table, size_t max);
void cprof_live_table_deinit(struct cprof_live_table *table);

/* A window begins: nothing is in it yet. */
void cprof_live_table_begin(struct cprof_live_table *table);

/* What is added from here on is of another sample: in one sample a name counts once in its total, however often it stands there. */
void cprof_live_table_next_sample(struct cprof_live_table *table);

/* The row of `name`, a new one where there is none; its number holds until the window ends. Errors: NO_MEMORY. */
struct cprof_error *cprof_live_table_find(struct cprof_live_table *table, const char *name,
					  size_t *ret_row);

/* A row is in the sample; `own`: at its end. */
void cprof_live_table_count(struct cprof_live_table *table, size_t row, const int64_t *values,
			    size_t n_types, bool own);

/*
 * The window is over. Of types that are a state (`states`, one for each of CPROF_LIVE_TYPES) the window's values become what has changed (0
 * where that is not known), and those since the start what there is; of all others it adds up. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_live_table_end(struct cprof_live_table *table, const bool *states);

#endif
