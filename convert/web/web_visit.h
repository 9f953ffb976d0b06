/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/web/web_visit.h - one answer being made in a process of its own: a report, a new recording, an upload being read.
 */
#ifndef CPROF_CONVERT_WEB_WEB_VISIT_H
#define CPROF_CONVERT_WEB_WEB_VISIT_H

#include "base/work.h"
#include "convert/http/http_server.h"
#include "convert/web/recordings.h"
#include "convert/web/web_options.h"
#include "convert/web/web_page.h"
#include "convert/web/web_query.h"

enum cprof_web_task {
	CPROF_WEB_REPORT,
	CPROF_WEB_RECORD,
	CPROF_WEB_UPLOAD,
};

/* How a report is to look. */
enum cprof_web_form { CPROF_WEB_JSON, CPROF_WEB_TEXT, CPROF_WEB_SVG };

struct cprof_web_visit {
	struct cprof_http_request *request;
	enum cprof_web_task task;
	const struct cprof_web_page *page;
	enum cprof_web_form form;
	struct cprof_web_query query; /* owned */
	/* Borrowed, as they are when the work begins. */
	const struct cprof_web_options *options;
	struct cprof_web_recordings *recordings;
	unsigned profile, base;   /* numbers of recordings; base 0: none */
	struct cprof_buffer text; /* owned: which kind to record, or the upload's name */
	int64_t seconds;          /* to record */
	struct cprof_work work;
	bool works;
};

/* Begin to work. Errors: OS. */
struct cprof_error *cprof_web_visit_start(struct cprof_web_visit *visit);

/* Ends the work, if there is one. */
void cprof_web_visit_free(struct cprof_web_visit *visit);

#endif
