/*
 * convert/report/filter.h - taking samples, frames and tags out of a profile, in place.
 *
 * Meanings are google/pprof's: names are matched anywhere in function name, file name or mapping file; a
 * sample is dropped when no frame of it remains (hide, show, show_from), but not by prune_from.
 */
#ifndef CPROF_CONVERT_REPORT_FILTER_H
#define CPROF_CONVERT_REPORT_FILTER_H

#include "base/buffer.h"
#include "base/error.h"
#include "convert/report/config.h"
#include "convert/profile/profile.h"

/* Unit of a numeric label, for ranges like 1kb:2kb. */
typedef const char *cprof_filter_unit(const void *ctx, uint32_t key);

/*
 * Apply focus, ignore, hide, show, show_from, the tag filters and prune_from, in that order. A line is added to
 * `warnings` for each expression that matched nothing. Errors: CPROF_ERR_USAGE, naming the option.
 */
struct cprof_error *cprof_filter_apply(struct cprof_profile *profile,
				       const struct cprof_config *config,
				       cprof_filter_unit *unit_of, const void *ctx,
				       struct cprof_buffer *warnings);

/* Cut leaf frames as the profile's own drop_frames and keep_frames say. */
struct cprof_error *cprof_filter_drop_frames(struct cprof_profile *profile);

/* Add the frames that tagroot and tagleaf ask for. */
struct cprof_error *cprof_filter_tag_frames(struct cprof_profile *profile,
					    const struct cprof_config *config,
					    struct cprof_buffer *warnings);

/* Forget what the granularity does not show: addresses, lines, files, functions, inlined frames. */
void cprof_filter_aggregate(struct cprof_profile *profile, const struct cprof_config *config);

#endif
