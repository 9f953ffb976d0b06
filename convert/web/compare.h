/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/web/compare.h - the profile that a page shows: a recording, or what one has more than another.
 */
#ifndef CPROF_CONVERT_WEB_COMPARE_H
#define CPROF_CONVERT_WEB_COMPARE_H

#include <stdbool.h>
#include <stdint.h>

#include "convert/web/recordings.h"
#include "cprof/error.h"

/* What values are made comparable by: the newer profile's are scaled to the base's. */
enum cprof_web_norm { CPROF_WEB_NORM_NONE, CPROF_WEB_NORM_TOTAL, CPROF_WEB_NORM_DURATION };

struct cprof_web_choice {
	struct cprof_web_recordings *recordings; /* borrowed */
	unsigned profile, base;                  /* numbers; base 0: none */
	enum cprof_web_norm norm;
	bool mark_base; /* percentages are of the base */
	bool by_module; /* all frames of a location become one that is named like its module */
};

/*
 * The caller's to free. It is made of what the recordings held, which are empty then, on errors too: for a process of its own.
 * Errors: USAGE (there is no such recording, or the two cannot be compared).
 */
struct cprof_error *cprof_web_compare(const struct cprof_web_choice *choice,
				      struct cprof_profile **ret_profile);

#endif
