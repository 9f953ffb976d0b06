/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/marker_names.h"

#include "attach/run/stack_walker.h"

void cprof_marker_names_deinit(struct cprof_marker_names *markers)
{
	cprof_intern_deinit(&markers->texts);
	*markers = (struct cprof_marker_names){ 0 };
}

struct cprof_stack_frame cprof_marker_names_frame(struct cprof_marker_names *markers,
						  const char *name)
{
	struct cprof_stack_frame frame = { .addr = CPROF_MARKER_TRUNCATED };
	uint32_t number;
	struct cprof_error *err = markers->texts.len ? NULL : cprof_intern_init(&markers->texts);
	if (!err)
		err = cprof_intern_text(&markers->texts, name, &number);
	if (!err)
		frame.addr = CPROF_MARKER_NAMES_AT + number;
	cprof_error_free(err);
	return frame;
}

const char *cprof_marker_names_find(const struct cprof_marker_names *markers,
				    const struct cprof_stack_frame *frame)
{
	if (frame->mapping || frame->addr - CPROF_MARKER_NAMES_AT >= markers->texts.len)
		return NULL;
	return cprof_intern_get(&markers->texts, (uint32_t)(frame->addr - CPROF_MARKER_NAMES_AT));
}
