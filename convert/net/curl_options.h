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

#endif
