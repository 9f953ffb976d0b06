/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/web/shell.h - the HTML file that every page is: its scripts and styles, made at build time, and what it shows at first.
 */
#ifndef CPROF_CONVERT_WEB_SHELL_H
#define CPROF_CONVERT_WEB_SHELL_H

#include <stdio.h>

#include "convert/web/recordings.h"
#include "convert/web/web_options.h"
#include "convert/web/web_query.h"

struct cprof_shell {
	const char *page;
	const struct cprof_web_query *query;
	const struct cprof_web_recordings *recordings;
	unsigned profile, base;
	const struct cprof_web_options *options;
};

void cprof_shell_write(const struct cprof_shell *shell, FILE *out);

/* "sha256-…" of its script and its style, for the policy that it is sent with. */
const char *cprof_shell_script_hash(void);
const char *cprof_shell_style_hash(void);

#endif
