/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/report/tag_frames.h - frames made of tags: the values of tagroot's keys above the root, tagleaf's below the leaf.
 */
#ifndef CPROF_CONVERT_REPORT_TAG_FRAMES_H
#define CPROF_CONVERT_REPORT_TAG_FRAMES_H

#include "convert/report/config.h"
#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/profile.h"

/* In place. A line is added to `warnings` for an option whose keys no sample has. */
struct cprof_error *cprof_tag_frames_add(struct cprof_profile *profile,
					 const struct cprof_config *config,
					 struct cprof_buffer *warnings);

#endif
