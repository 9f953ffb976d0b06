/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/marker_names.h"

#include <stdlib.h>
#include <string.h>

#include "attach/run/stack_walker.h"

void cprof_marker_names_deinit(struct cprof_marker_names *markers)
{
	for (size_t i = 0; i < markers->n; i++)
		free(markers->names[i]);
	*markers = (struct cprof_marker_names){ 0 };
}

struct cprof_stack_frame cprof_marker_names_frame(struct cprof_marker_names *markers,
						  const char *name)
{
	struct cprof_stack_frame frame = { .addr = CPROF_MARKER_TRUNCATED };
	size_t i = 0;
	while (i < markers->n && strcmp(markers->names[i], name) != 0)
		i++;
	if (i == markers->n && i < CPROF_MARKER_NAMES_MAX) {
		markers->names[i] = strdup(name);
		markers->n += markers->names[i] != NULL;
	}
	if (i < markers->n)
		frame.addr = CPROF_N_MARKERS + i;
	return frame;
}

const char *cprof_marker_names_find(const struct cprof_marker_names *markers,
				    const struct cprof_stack_frame *frame)
{
	if (frame->mapping || frame->addr < CPROF_N_MARKERS ||
	    frame->addr - CPROF_N_MARKERS >= markers->n)
		return NULL;
	return markers->names[frame->addr - CPROF_N_MARKERS];
}
