/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/report/filter_leaf.h - frames cut off at the leaf: what an allocator or a profiler calls on its own behalf.
 *
 * Here a frame matches by the name of its function alone, without the arguments. Every sample keeps a frame.
 */
#ifndef CPROF_CONVERT_REPORT_FILTER_LEAF_H
#define CPROF_CONVERT_REPORT_FILTER_LEAF_H

#include "cprof/error.h"
#include "cprof/profile.h"

/* Cut as the profile's own drop_frames and keep_frames say. Errors: CPROF_ERR_USAGE, one of them is no expression. */
struct cprof_error *cprof_filter_leaf_drop(struct cprof_profile *profile);

/* Cut what the leafmost match of `pattern` calls; "" cuts nothing. Errors: CPROF_ERR_USAGE, naming prune_from. */
struct cprof_error *cprof_filter_leaf_prune(struct cprof_profile *profile, const char *pattern);

#endif
