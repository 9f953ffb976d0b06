/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/report/granularity.h - a profile made coarser: what the granularity does not show is forgotten.
 */
#ifndef CPROF_CONVERT_REPORT_GRANULARITY_H
#define CPROF_CONVERT_REPORT_GRANULARITY_H

#include "convert/report/config.h"
#include "cprof/profile.h"

/* Forget addresses, lines, columns, files, functions, inlined frames, as the options want; in place. */
void cprof_granularity_apply(struct cprof_profile *profile, const struct cprof_config *config);

#endif
