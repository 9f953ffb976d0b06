/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/report/filter_tags.h - samples chosen by their tags (tagfocus, tagignore), and which keys remain (tagshow, taghide).
 *
 * A filter is "[KEY=]WHAT". WHAT is a range of numbers like 1kb:2kb where it can be read as one, else expressions with
 * commas between them.
 */
#ifndef CPROF_CONVERT_REPORT_FILTER_TAGS_H
#define CPROF_CONVERT_REPORT_FILTER_TAGS_H

#include "convert/report/config.h"
#include "convert/report/label_units.h"
#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/profile.h"

/* In place; warnings and errors as cprof_filter_apply(). */
struct cprof_error *cprof_filter_tags_apply(struct cprof_profile *profile,
					    const struct cprof_config *config,
					    const struct cprof_label_units *units,
					    struct cprof_buffer *warnings);

#endif
