/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/waits/wait_timed.h - a row of waits in the profile, told apart by when they were.
 *
 * What a row comes to is the table's to say (wait_table.h); when that was, intake->times. A delay is spread over the time that it lasted, and
 * counts where it ends.
 */
#ifndef CPROF_ATTACH_WAITS_WAIT_TIMED_H
#define CPROF_ATTACH_WAITS_WAIT_TIMED_H

#include <stddef.h>
#include <stdint.h>

#include "attach/waits/wait_intake.h"
#include "cprof/error.h"

struct cprof_wait_timed {
	struct cprof_wait_intake *intake;  /* borrowed */
	size_t *order, *first;             /* owned; spans, row by row */
	struct cprof_wait_timed_piece *at; /* owned; of one row */
	size_t n, cap;
};

/* When all waits have come. Errors: NO_MEMORY; it is to be freed then, too. */
struct cprof_error *cprof_wait_timed_init(struct cprof_wait_timed *timed,
					  struct cprof_wait_intake *intake);
void cprof_wait_timed_deinit(struct cprof_wait_timed *timed);

/* What of a row is of this moment: `sums`, which are whole numbers. */
typedef struct cprof_error *cprof_wait_timed_fn(void *ctx, uint64_t mono_ns,
						const int64_t sums[CPROF_WAIT_VALUES]);

/* Hand out a row of the table, `sums` in all, step by step. Errors: NO_MEMORY, and what `fn` returns. */
struct cprof_error *cprof_wait_timed_each(struct cprof_wait_timed *timed,
					  const struct cprof_wait_row *row,
					  const int64_t sums[CPROF_WAIT_VALUES],
					  cprof_wait_timed_fn *fn, void *ctx);

#endif
