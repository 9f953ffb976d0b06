/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/waits/wait_table.h - waits added up by stack, lock and thread until the window ends.
 *
 * Between the tiers and the session: estimates are kept as floating point (one wait may stand for 3.7), and what
 * kind of lock a stack waits for is decided once per distinct row, at the end, when names are looked up anyway.
 * Memory is bounded: beyond CPROF_WAIT_TABLE_MAX rows new ones are told apart by stack only, which the labels then
 * lack. Those are counted. Stacks are numbers of the session's table.
 */
#ifndef CPROF_ATTACH_WAITS_WAIT_TABLE_H
#define CPROF_ATTACH_WAITS_WAIT_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "attach/locks/wait.h"
#include "attach/locks/wait_kind.h"
#include "cprof/error.h"
#include "cprof/hash.h"

#define CPROF_WAIT_TABLE_MAX 65536

struct cprof_wait_row {
	uint32_t stack; /* its number in the session (stack_table.h) */
	uint32_t tid;
	uint32_t owner_tid;
	uint64_t addr;
	int32_t syscall;
	enum cprof_wait_kind by_number;
	bool open, requeued;
	uint32_t request; /* as in wait.h */
	double count, delay_ns, queue_ns;
};

struct cprof_wait_table {
	struct cprof_wait_row *rows; /* owned */
	uint32_t n_rows, cap_rows;
	struct cprof_map64 row_by_hash;
	uint64_t coarse; /* waits whose lock and thread were not kept, for want of room */
};

/* A zeroed struct is an empty table. */
void cprof_wait_table_deinit(struct cprof_wait_table *table);

/* Add a wait with that stack. `*ret_row` is the row's index, for good; may be NULL. Errors: NO_MEMORY. */
struct cprof_error *cprof_wait_table_add(struct cprof_wait_table *table,
					 const struct cprof_wait *wait, uint32_t stack,
					 uint32_t *ret_row);

/* One more row with what it has, for a table that goes on with some of another's. Errors: NO_MEMORY. */
struct cprof_error *cprof_wait_table_carry(struct cprof_wait_table *table,
					   const struct cprof_wait_row *row, uint32_t *ret_row);

/* `count` waits of `delay_ns` that were added to row `from` turn out to be open: move them to the row that says so, *ret_row. */
struct cprof_error *cprof_wait_table_open(struct cprof_wait_table *table, uint32_t from,
					  double count, double delay_ns, uint32_t *ret_row);

#endif
