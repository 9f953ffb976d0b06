/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/report/filter.h"

#include "convert/report/filter_leaf.h"
#include "convert/report/filter_names.h"
#include "convert/report/filter_tags.h"
#include "convert/report/filter_time.h"

struct cprof_error *cprof_filter_apply(struct cprof_profile *profile,
				       const struct cprof_config *config,
				       const struct cprof_label_units *units,
				       struct cprof_buffer *warnings)
{
	struct cprof_error *err = cprof_filter_names_apply(profile, config, warnings);
	if (!err)
		err = cprof_filter_time_apply(profile, config, warnings);
	if (!err)
		err = cprof_filter_tags_apply(profile, config, units, warnings);
	return err ? err : cprof_filter_leaf_prune(profile, config->prune_from);
}
