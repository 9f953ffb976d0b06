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
	cprof_curl_options_tls(api, curl, tls);
	if (tls->ca)
		api->easy_setopt(curl, CURLOPT_CAINFO, tls->ca);
	cprof_curl_options_log_in(api, curl, tls->auth);
}

CURLcode cprof_curl_options_tls(const struct cprof_curl_api *api, CURL *curl,
				const struct cprof_tls *tls)
{
	bool newest = tls->least && strcmp(tls->least, "1.3") == 0;
	CURLcode bad = api->easy_setopt(curl, CURLOPT_SSLVERSION,
					newest ? CURL_SSLVERSION_TLSv1_3 : CURL_SSLVERSION_TLSv1_2);
	if (!bad && tls->cert && *tls->cert)
		bad = api->easy_setopt(curl, CURLOPT_SSLCERT, tls->cert);
	if (!bad && tls->key && *tls->key)
		bad = api->easy_setopt(curl, CURLOPT_SSLKEY, tls->key);
	return bad;
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
