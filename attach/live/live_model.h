/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/live/live_model.h - all that a live table can show: windows added up, by function, line, thread and module, with and without the kernel.
 *
 * Every way to look at it is kept up to date, so that a key shows another one at once and since the start. Knows profiles, and neither
 * processes nor screens.
 */
#ifndef CPROF_ATTACH_LIVE_LIVE_MODEL_H
#define CPROF_ATTACH_LIVE_LIVE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/live/live_table.h"
#include "cprof/error.h"
#include "cprof/profile.h"

enum cprof_live_group {
	CPROF_LIVE_FUNCTIONS,
	CPROF_LIVE_LINES,
	CPROF_LIVE_THREADS,
	CPROF_LIVE_MODULES,
	CPROF_LIVE_GROUPS,
};

struct cprof_live_model {
	struct cprof_live_table tables[CPROF_LIVE_GROUPS]
				      [2]; /* without and with the kernel's frames */
	size_t n_types;
	struct cprof_live_type {
		char name[32], unit[32];
	} types[CPROF_LIVE_TYPES];
	bool states[CPROF_LIVE_TYPES]; /* what there is, and no count of what has happened */
	size_t default_type;
	int64_t totals[2][CPROF_LIVE_TYPES]; /* of the last window; since the start */
	uint64_t now_ns, all_ns;             /* how long these are */
	uint64_t windows;
};

/* `max_rows` of each table. */
void cprof_live_model_init(struct cprof_live_model *model, size_t max_rows);
void cprof_live_model_deinit(struct cprof_live_model *model);

/* The next window; NULL: nothing happened in it. Errors: NO_MEMORY, UNSUPPORTED (too many sample types). */
struct cprof_error *cprof_live_model_add(struct cprof_live_model *model,
					 const struct cprof_profile *profile, uint64_t length_ns);

#endif
