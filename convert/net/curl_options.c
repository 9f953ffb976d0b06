#include "convert/net/curl_options.h"

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
}
