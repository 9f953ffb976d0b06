/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/profile_names.h - each distinct address of a run named once, after the window.
 */
#ifndef CPROF_ATTACH_RUN_PROFILE_NAMES_H
#define CPROF_ATTACH_RUN_PROFILE_NAMES_H

#include "attach/run/mapping_numbers.h"
#include "attach/run/marker_names.h"
#include "attach/run/run.h"
#include "base/prefetch.h"
#include "cprof/builder.h"
#include "cprof/error.h"

/*
 * The profile of what numbers->builder has, with functions that left by tail calls put back (tail_calls.h), with names, without times, period and comments. `kernel_text` as in symbolizer.h; may
 * be NULL. Counts named locations, notes what the symbolizer has to say, and which file lacks names, in run->log.
 */
struct cprof_error *cprof_profile_names_finish(const struct cprof_run *run,
					       struct cprof_mapping_numbers *numbers,
					       const struct cprof_marker_names *markers,
					       const struct cprof_prefetch_piece *kernel_text,
					       struct cprof_profile **ret_profile);

#endif
