/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/serve/view.h - the web view of the served processes, below /ui/: record, look, compare.
 *
 * What it records comes from the endpoints of the same server, over a connection to itself, so that it is what everybody else
 * gets.
 */
#ifndef CPROF_ATTACH_SERVE_VIEW_H
#define CPROF_ATTACH_SERVE_VIEW_H

#include <stdbool.h>

#include "attach/serve/tenants.h"
#include "convert/http/http_address.h"
#include "convert/web/web.h"

struct cprof_view;

/* `address` is where the server listens on `fd`; `token_file` may be NULL. All are borrowed but the address, which is copied. */
struct cprof_error *cprof_view_new(const struct cprof_http_address *address, int fd,
				   const char *token_file, const struct cprof_tenants *tenants,
				   struct cprof_view **ret_view);
void cprof_view_free(struct cprof_view *view);

/* True: the request is the view's, and will be answered. */
bool cprof_view_ask(struct cprof_view *view, struct cprof_http_request *request);

/* For the rest of convert/web/web.h. */
struct cprof_web *cprof_view_web(struct cprof_view *view);

#endif
