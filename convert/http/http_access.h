/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/http/http_access.h - who may ask: what a request's headers must say before anything is done for it.
 *
 * A browser on this machine runs pages of other sites, and those can send requests here. So the name that the request
 * thinks it talks to has to be one of this machine's own (a page that has its own name resolved to 127.0.0.1 is found out),
 * and a page of another site is refused. Sources: RFC 9110 "Host and :authority", RFC 6454 "The HTTP Origin Header Field", W3C
 * "Fetch Metadata Request Headers".
 */
#ifndef CPROF_CONVERT_HTTP_HTTP_ACCESS_H
#define CPROF_CONVERT_HTTP_HTTP_ACCESS_H

#include <stdbool.h>

/* Header fields as they came; NULL: not there. */
struct cprof_http_headers {
	const char *host, *origin, *fetch_site;
};

/* NULL: may go on. Else why not, a sentence for the answer. `any_host`: a socket that no browser reaches. */
const char *cprof_http_access_refuse(const struct cprof_http_headers *headers, bool any_host);

#endif
