/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/web/web_query.h - what an address of the web view asks for: the options of a report, as pprof's addresses name them.
 *
 * "?f=main&si=cpu&g=lines": a row of a table for each parameter. What an address does not say is as the command line had it.
 * Source: google/pprof's internal/driver/config.go, whose names are kept so that old links work.
 */
#ifndef CPROF_CONVERT_WEB_WEB_QUERY_H
#define CPROF_CONVERT_WEB_WEB_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "convert/report/config.h"
#include "convert/web/compare.h"
#include "cprof/error.h"

#define CPROF_WEB_PARAMS_MAX 40

struct cprof_web_query {
	struct cprof_config config;
	struct cprof_buffer texts[CPROF_WEB_PARAMS_MAX]; /* owned: what `config` borrows */
	struct cprof_buffer format; /* owned: "json", "text", "svg"; "": as the request accepts */
	int64_t from_ns, to_ns;     /* of the time that samples were taken; both 0: all */
	struct cprof_buffer profile,
		base; /* owned: numbers of recordings; "": as from the command line */
	enum cprof_web_norm norm;
	bool by_module; /* granularity "modules", which only the web view has */
	bool whole;     /* whole source files */
};

/* Read `query` (without '?') over `start`. On error what was read so far has to be given back too. Errors: USAGE. */
struct cprof_error *cprof_web_query_read(const char *query, const struct cprof_config *start,
					 struct cprof_web_query *ret);
void cprof_web_query_deinit(struct cprof_web_query *query);

/* The options as the addresses' parameters, as a JSON object; for the page's controls. */
void cprof_web_query_put(const struct cprof_web_query *query, FILE *out);

#endif
