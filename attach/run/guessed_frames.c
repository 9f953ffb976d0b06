/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/guessed_frames.h"

/* Two frames of one hash (one pair in 2^40 of these few) would share a mark. */
static uint64_t key_of(const struct cprof_stack_frame *frame)
{
	return cprof_hash_mix(frame->mapping, frame->addr);
}

void cprof_guessed_frames_deinit(struct cprof_guessed_frames *guessed)
{
	cprof_map64_deinit(&guessed->by_hash);
}

void cprof_guessed_frames_add(struct cprof_guessed_frames *guessed,
			      const struct cprof_stack_frame *frame)
{
	if (guessed->by_hash.len < CPROF_GUESSED_FRAMES_MAX)
		(void)cprof_map64_put(&guessed->by_hash, key_of(frame), NULL);
}

bool cprof_guessed_frames_has(const struct cprof_guessed_frames *guessed,
			      const struct cprof_stack_frame *frame)
{
	return guessed->by_hash.len && cprof_map64_get(&guessed->by_hash, key_of(frame));
}
