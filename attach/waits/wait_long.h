/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/waits/wait_long.h - the stacks of long waits, taken while they last.
 *
 * Where there are so many waits that few bring a stack (wait_stacks.h), one that is rare and long would hardly ever have its own,
 * and it is the one that is looked for. Whoever has slept for some time is looked at from outside, once in each wait: its
 * stack is read from /proc and memory as at a window's end (wait_sleeper.h), without stopping it. Nothing is done where that
 * is refused: the wait then bears what is alike.
 */
#ifndef CPROF_ATTACH_WAITS_WAIT_LONG_H
#define CPROF_ATTACH_WAITS_WAIT_LONG_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/waits/wait_intake.h"
#include "attach/waits/wait_pair.h"
#include "attach/waits/wait_sleeper.h"
#include "attach/waits/wait_stacks.h"
#include "cprof/hash.h"

struct cprof_wait_long {
	struct cprof_wait_sleepers sleepers;
	bool ready;
	struct cprof_map64 looked; /* thread -> when the call began that it was looked at in */
};

/* A zeroed struct is ready for use. */
void cprof_wait_long_deinit(struct cprof_wait_long *long_waits);

/* Look at some of those who sleep, by `pair`, for long; `stacks` then knows theirs. Errors: NO_MEMORY. */
struct cprof_error *cprof_wait_long_look(struct cprof_wait_long *long_waits,
					 struct cprof_wait_intake *intake,
					 const struct cprof_wait_pair *pair,
					 struct cprof_wait_stacks *stacks, uint64_t now_ns);

#endif
