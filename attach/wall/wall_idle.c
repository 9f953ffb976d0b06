/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/wall/wall_idle.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

void cprof_wall_idle_deinit(struct cprof_wall_idle *idle)
{
	free(idle->places);
	cprof_map64_deinit(&idle->by_stack);
	*idle = (struct cprof_wall_idle){ 0 };
}

struct cprof_error *cprof_wall_idle_add(struct cprof_wall_idle *idle,
					const struct cprof_wall_part *part, const char *name,
					uint64_t ns)
{
	bool is_new;
	if (!CPROF_ARRAY_ROOM(idle->places, idle->n, idle->cap, 1))
		return cprof_error_no_memory();
	uint64_t *index = cprof_map64_put(&idle->by_stack, part->stack, &is_new);
	if (!index)
		return cprof_error_no_memory();
	if (is_new) {
		*index = idle->n;
		struct cprof_wall_idle_place *fresh = &idle->places[idle->n++];
		*fresh = (struct cprof_wall_idle_place){ .stack = part->stack,
							 .reason = part->reason };
		snprintf(fresh->name, sizeof(fresh->name), "%s", name);
	}
	struct cprof_wall_idle_place *place = &idle->places[*index];
	place->threads++;
	place->ns += ns;
	if (strcmp(place->name, name) != 0)
		place->name[0] = '\0';
	return NULL;
}
