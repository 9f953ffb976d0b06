/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/wall/wall_row.h - one row of a wall profile: how a state of a thread is shown, by which stack and labels.
 *
 * What time it gets is wall_rows.h's and wall_timed.h's.
 */
#ifndef CPROF_ATTACH_WALL_WALL_ROW_H
#define CPROF_ATTACH_WALL_WALL_ROW_H

#include <stddef.h>
#include <stdint.h>

#include "attach/run/session.h"
#include "attach/wall/ledger.h"
#include "attach/wall/wall_idle.h"
#include "attach/wall/wall_parts.h"
#include "attach/wall/wall_reasons.h"
#include "attach/waits/wait_intake.h"
#include "cprof/error.h"

/* The sample types, in the order of cprof_wall_types (wall_rows.h). */
enum {
	CPROF_WALL_WALL,
	CPROF_WALL_CPU,
	CPROF_WALL_OFFCPU,
	CPROF_WALL_RUNQUEUE,
	CPROF_WALL_SAMPLES,
	CPROF_WALL_TYPES,
};

/* How a state is shown: the label `state`, the type that its time is of besides wall, and the frame put in front. */
struct cprof_wall_look {
	const char *state;
	size_t type;
	const char *leaf;  /* NULL: the stack says it all, or has its own */
	const char *alone; /* the frame where there is no stack */
};
extern const struct cprof_wall_look cprof_wall_looks[CPROF_LEDGER_STATES];

struct cprof_wall_row_maker {
	struct cprof_wait_intake *intake; /* borrowed */
	struct cprof_wall_reasons reasons;
	struct cprof_stack_frame *frames; /* owned; room for one stack */
};

/* A row that is named: its stack, and its labels. */
struct cprof_wall_row {
	uint32_t stack, labels;
};

/* Errors: NO_MEMORY. */
struct cprof_error *cprof_wall_row_maker_init(struct cprof_wall_row_maker *maker,
					      struct cprof_wait_intake *intake);
void cprof_wall_row_maker_deinit(struct cprof_wall_row_maker *maker);

/* A stack with `leaf` in front of `frames`. */
struct cprof_error *cprof_wall_row_stack(struct cprof_wall_row_maker *maker, const char *leaf,
					 const struct cprof_stack_frame *frames, size_t n,
					 uint32_t *ret_stack);

/* What `account` has in `part`, shown as `look`; NULL: nobody knows where it was. */
struct cprof_error *cprof_wall_row_name(struct cprof_wall_row_maker *maker,
					const struct cprof_ledger_account *account,
					const struct cprof_wall_look *look,
					const struct cprof_wall_part *part,
					struct cprof_wall_row *ret_row);

/* Threads that wait for work in one place, and for how long. */
struct cprof_error *cprof_wall_row_idle(struct cprof_wall_row_maker *maker,
					const struct cprof_wall_idle_place *place,
					struct cprof_wall_row *ret_row,
					int64_t ret_values[CPROF_WALL_TYPES]);

#endif
