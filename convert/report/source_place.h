/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/report/source_place.h - where functions are in their sources, kept for reports that add up by function and tell it still.
 */
#ifndef CPROF_CONVERT_REPORT_SOURCE_PLACE_H
#define CPROF_CONVERT_REPORT_SOURCE_PLACE_H

#include <stdint.h>

#include "cprof/error.h"
#include "cprof/profile.h"

struct cprof_source_place {
	uint32_t file; /* string; 0: unknown */
	int64_t line; /* where the function begins, or else the first one that is known of it; 0: unknown */
};

/* By function; the caller's to free. To be made before lines and files are left out (granularity.h). */
struct cprof_error *cprof_source_places_new(const struct cprof_profile *profile,
					    struct cprof_source_place **ret_places);

#endif
