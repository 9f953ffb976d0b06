/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/web/web_options.h - what a web view is told when it begins.
 */
#ifndef CPROF_CONVERT_WEB_WEB_OPTIONS_H
#define CPROF_CONVERT_WEB_WEB_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "convert/report/config.h"
#include "cprof/error.h"
#include "cprof/profile.h"

/*
 * Make a new recording; called in a process of its own. `what`: "" for the same again, or a name of `kinds`; `seconds` -1: as from
 * the command line.
 */
typedef struct cprof_error *cprof_web_record_fn(void *ctx, const char *what, int64_t seconds,
						struct cprof_profile **ret_profile);

/* Copied; the texts are borrowed. */
struct cprof_web_options {
	struct cprof_config config;  /* what addresses say nothing of */
	bool mark_base;              /* percentages are of the base (-diff_base) */
	cprof_web_record_fn *record; /* NULL: nothing can be recorded again */
	void *record_ctx;
	const char *const *kinds; /* profiles that the source offers, ended by NULL; or NULL */
	const char *program;      /* for titles where a profile has none; "" */
};

#endif
