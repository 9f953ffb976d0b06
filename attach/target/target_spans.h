/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/target_spans.h - the target's memory, several places in one system call, while it runs or stands.
 *
 * The heap profile reads and gives back thousands of cells a second: what counts is the number of system calls. Never
 * stops the target.
 */
#ifndef CPROF_ATTACH_TARGET_TARGET_SPANS_H
#define CPROF_ATTACH_TARGET_TARGET_SPANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/target/target.h"

#define CPROF_TARGET_SPANS_MAX 64 /* at once */

struct cprof_target_span {
	uint64_t addr; /* in the target */
	void *buf;     /* ours, borrowed */
	size_t n;
};

/*
 * All bytes of all spans (at most CPROF_TARGET_SPANS_MAX of them); false, errno set, if the target or one of the mappings is
 * gone: then any part of it may have been done.
 */
bool cprof_target_spans_read(const struct cprof_target *target,
			     const struct cprof_target_span *spans, size_t n_spans);
bool cprof_target_spans_write(const struct cprof_target *target,
			      const struct cprof_target_span *spans, size_t n_spans);

#endif
