/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/heap_rows.h - from what a heap run has counted to the samples of its profile: values, and which labels they have.
 *
 * A sample is of one stack and size. Where ages are wanted, what is in use is a sample for each age instead; where there is a
 * history, so is what was in use at each of its moments (convert/profile/heap_age.h).
 */
#ifndef CPROF_ATTACH_HEAP_HEAP_ROWS_H
#define CPROF_ATTACH_HEAP_HEAP_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/heap/heap_history.h"
#include "attach/heap/heap_profile.h"
#include "attach/heap/heap_since.h"
#include "attach/run/process.h"
#include "attach/run/session.h"
#include "cprof/builder.h"
#include "cprof/error.h"

/* The sample types; the last two are in a profile with a history only. An array of values has this length in any case. */
#define CPROF_HEAP_TYPES       6
#define CPROF_HEAP_TYPES_PLAIN 4
extern const struct cprof_builder_type cprof_heap_types[CPROF_HEAP_TYPES];

/* All is borrowed. */
struct cprof_heap_rows {
	struct cprof_session *session;
	struct cprof_process *process;
	bool label_pid; /* the session does not say whose it is, and somebody may ask */
	const struct cprof_heap_profile *profile; /* settled */
	const struct cprof_heap_since *since;     /* may be unmarked */
	const struct cprof_heap_history *history; /* may be empty */
	bool ages;
	uint64_t
		at_ns; /* at which the blocks that are in use were seen, since the beginning of the run */
};

/* Errors: NO_MEMORY. */
struct cprof_error *cprof_heap_rows_add(const struct cprof_heap_rows *rows);

/* The label set of blocks of `size` bytes. */
struct cprof_error *cprof_heap_rows_size_label(const struct cprof_heap_rows *rows, uint64_t size,
					       uint32_t *ret_labels);

#endif
