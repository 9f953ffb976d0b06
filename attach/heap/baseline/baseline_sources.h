/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/baseline_sources.h - all allocators that can be told from outside, and the reading of a process by them.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_BASELINE_SOURCES_H
#define CPROF_ATTACH_HEAP_BASELINE_BASELINE_SOURCES_H

#include <stddef.h>

#include "attach/heap/baseline/baseline_account.h"
#include "attach/heap/baseline/baseline_source.h"
#include "cprof/error.h"

extern const struct cprof_baseline_source *const cprof_baseline_sources[];
extern const size_t cprof_n_baseline_sources;

/*
 * All allocators of the process into `account`, which was initialized. Finding none is no error: no allocators then.
 * `account->took_ns` is set. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_baseline_read(const struct cprof_baseline_target *target,
					struct cprof_baseline_account *account);

#endif
