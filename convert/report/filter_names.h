/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/report/filter_names.h - samples and frames chosen by their names: focus, ignore, hide, show, show_from.
 *
 * A frame matches by function name, file name or mapping file, anywhere in it. A sample is dropped when no frame of it
 * remains.
 */
#ifndef CPROF_CONVERT_REPORT_FILTER_NAMES_H
#define CPROF_CONVERT_REPORT_FILTER_NAMES_H

#include "convert/report/config.h"
#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/profile.h"

/* In that order, in place; warnings and errors as cprof_filter_apply(). */
struct cprof_error *cprof_filter_names_apply(struct cprof_profile *profile,
					     const struct cprof_config *config,
					     struct cprof_buffer *warnings);

#endif
