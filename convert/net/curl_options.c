/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/net/curl_options.h"

#include <string.h>

#include "base/version.h"

void cprof_curl_options_set(const struct cprof_curl_api *api, CURL *curl,
			    const struct cprof_tls *tls, bool insecure)
{
	api->easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	api->easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
	api->easy_setopt(curl, CURLOPT_MAXREDIRS, 10L);
	api->easy_setopt(curl, CURLOPT_USERAGENT, "cprof/" CPROF_VERSION);
	api->easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	if (insecure) {
		api->easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
		api->easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (tls->cert)
		api->easy_setopt(curl, CURLOPT_SSLCERT, tls->cert);
	if (tls->key)
		api->easy_setopt(curl, CURLOPT_SSLKEY, tls->key);
	if (tls->ca)
		api->easy_setopt(curl, CURLOPT_CAINFO, tls->ca);
	cprof_curl_options_log_in(api, curl, tls->auth);
}

bool cprof_curl_options_log_in(const struct cprof_curl_api *api, CURL *curl, const char *auth)
{
	if (!auth || !*auth)
		return true;
	if (strchr(auth, ':'))
		return api->easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC) == CURLE_OK &&
		       api->easy_setopt(curl, CURLOPT_USERPWD, auth) == CURLE_OK;
	return api->easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER) == CURLE_OK &&
	       api->easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, auth) == CURLE_OK;
}
