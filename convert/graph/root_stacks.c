/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/graph/root_stacks.h"

#include <stdlib.h>

static size_t count_frames(const struct cprof_node_infos *infos, const struct cprof_sample *sample)
{
	size_t n = 0;
	for (uint32_t i = 0; i < sample->n_locations; i++) {
		uint32_t location = infos->profile->stacks[sample->first_location + i];
		n += infos->slot_of[location + 1] - infos->slot_of[location];
	}
	return n;
}

/* The sample's infos to `to`, root first. */
static void open_stack(const struct cprof_node_infos *infos, const struct cprof_sample *sample,
		       uint32_t *to)
{
	for (uint32_t i = sample->n_locations; i-- > 0;) {
		uint32_t location = infos->profile->stacks[sample->first_location + i];
		for (uint32_t slot = infos->slot_of[location + 1];
		     slot-- > infos->slot_of[location];)
			*to++ = infos->slots[slot];
	}
}

struct cprof_error *cprof_root_stacks_init(struct cprof_root_stacks *stacks,
					   const struct cprof_node_infos *infos)
{
	const struct cprof_profile *p = infos->profile;
	stacks->start = calloc((size_t)p->n_samples + 1, sizeof(*stacks->start));
	if (!stacks->start)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < p->n_samples; i++)
		stacks->start[i + 1] = stacks->start[i] + count_frames(infos, &p->samples[i]);
	stacks->frames = malloc((stacks->start[p->n_samples] + 1) * sizeof(*stacks->frames));
	if (!stacks->frames)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < p->n_samples; i++)
		open_stack(infos, &p->samples[i], stacks->frames + stacks->start[i]);
	return NULL;
}

void cprof_root_stacks_deinit(struct cprof_root_stacks *stacks)
{
	free(stacks->frames);
	free(stacks->start);
	*stacks = (struct cprof_root_stacks){ 0 };
}
