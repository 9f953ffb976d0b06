/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/report/filter.h - what the report's filter options take out of a profile, in the order that pprof has.
 *
 * The filters themselves are in filter_names.h, filter_time.h, filter_tags.h and filter_leaf.h. Meanings are google/pprof's.
 */
#ifndef CPROF_CONVERT_REPORT_FILTER_H
#define CPROF_CONVERT_REPORT_FILTER_H

#include "convert/report/config.h"
#include "convert/report/label_units.h"
#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/profile.h"

/*
 * Apply focus, ignore, hide, show, show_from, from and to, the tag filters and prune_from, in place. A line is added to
 * `warnings` for each expression that matched nothing. Errors: CPROF_ERR_USAGE, naming the option.
 */
struct cprof_error *cprof_filter_apply(struct cprof_profile *profile,
				       const struct cprof_config *config,
				       const struct cprof_label_units *units,
				       struct cprof_buffer *warnings);

#endif
