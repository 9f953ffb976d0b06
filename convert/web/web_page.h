/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/web/web_page.h - the pages of the web view: a path, and what is answered there.
 *
 * Every page is one HTML file with all scripts (assets/), which then asks for its data under the same address: what scripts get
 * with Accept: application/json. With format=text it is the report of the command line.
 */
#ifndef CPROF_CONVERT_WEB_WEB_PAGE_H
#define CPROF_CONVERT_WEB_WEB_PAGE_H

#include <stdbool.h>

#include "convert/report/report.h"

struct cprof_web_page {
	const char *name; /* "top" of "/top" */
	const struct cprof_format *json, *text;
	const struct cprof_format *whole; /* instead of `json` with whole=1; NULL: the same */
	const char *download;             /* the file's name: it is no page but a file; NULL */
	bool is_strip; /* data alone, and of all times, whichever part is chosen */
};

/* The page of a path from '/' ("/" is the flame graph's); NULL: there is none. */
const struct cprof_web_page *cprof_web_page_find(const char *path);

/* The data of pages; each in a file page_*.c. */
extern const struct cprof_format cprof_web_flame, cprof_web_top, cprof_web_peek, cprof_web_graph,
	cprof_web_source, cprof_web_whole_source, cprof_web_disasm, cprof_web_traces,
	cprof_web_time;

#endif
