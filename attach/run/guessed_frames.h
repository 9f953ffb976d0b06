/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/guessed_frames.h - frames that some walk came to by a guess: there was no unwind information to find them by.
 */
#ifndef CPROF_ATTACH_RUN_GUESSED_FRAMES_H
#define CPROF_ATTACH_RUN_GUESSED_FRAMES_H

#include <stdbool.h>
#include "cprof/hash.h"
#include "cprof/stack_table.h"

#define CPROF_GUESSED_FRAMES_MAX                                                                   \
	4096u /* distinct ones that are kept; later ones are counted by the unwinder only */

/* A zeroed struct is empty. */
struct cprof_guessed_frames {
	struct cprof_map64 by_hash;
};

void cprof_guessed_frames_deinit(struct cprof_guessed_frames *guessed);

/* Remember it; a few nanoseconds where it is known. One that there is no memory for is not remembered: it is a mark, no datum. */
void cprof_guessed_frames_add(struct cprof_guessed_frames *guessed,
			      const struct cprof_stack_frame *frame);

bool cprof_guessed_frames_has(const struct cprof_guessed_frames *guessed,
			      const struct cprof_stack_frame *frame);

#endif
