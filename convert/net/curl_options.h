/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/net/curl_options.h - what all requests to servers of profiles have in common: redirects, certificates, who we are.
 */
#ifndef CPROF_CONVERT_NET_CURL_OPTIONS_H
#define CPROF_CONVERT_NET_CURL_OPTIONS_H

#include <stdbool.h>

#include "convert/net/curl_api.h"
#include "convert/net/tls.h"

/* `insecure`: trust the server whoever signed its certificate. */
void cprof_curl_options_set(const struct cprof_curl_api *api, CURL *curl,
			    const struct cprof_tls *tls, bool insecure);

/* The client's certificate and key, and the oldest TLS that is spoken. */
CURLcode cprof_curl_options_tls(const struct cprof_curl_api *api, CURL *curl,
				const struct cprof_tls *tls);

/*
 * Log in with `auth`: "user:password" is sent as Basic (RFC 7617), anything else as a Bearer token (RFC 6750); NULL and "" do
 * nothing. curl sends neither to another host that an answer leads to. False: curl refuses it, or has no memory.
 */
bool cprof_curl_options_log_in(const struct cprof_curl_api *api, CURL *curl, const char *auth);

#endif
