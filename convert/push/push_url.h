/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/push/push_url.h - which kind of server a URL means: KIND+http://host, or by the path of a plain http://host/path.
 */
#ifndef CPROF_CONVERT_PUSH_PUSH_URL_H
#define CPROF_CONVERT_PUSH_PUSH_URL_H

#include "convert/push/push_backend.h"

/*
 * The back end for `url`, and in *plain (empty before; the caller's) the http:// or https:// URL without a fragment. `name` is a
 * back end's, which goes before what the URL says, or "auto" or NULL. Errors: USAGE, with a hint that lists the kinds.
 */
struct cprof_error *cprof_push_url_read(const char *url, const char *name,
					const struct cprof_push_backend **ret_backend,
					struct cprof_buffer *plain);

/* Whether the host of a plain URL is this machine, so that nobody on a network reads what is sent. */
bool cprof_push_url_is_local(const char *plain);

/* Whether it has "user:password@". */
bool cprof_push_url_has_user(const char *plain);

/* What the kinds of URLs are, for people. */
const char *cprof_push_url_kinds(void);

#endif
