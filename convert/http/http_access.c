/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/http/http_access.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_BYTES 256

/* "name:port" or "[::1]:port" without the port and the brackets. */
static bool host_name(const char *host, char *name)
{
	const bool bracket = host[0] == '[';
	const size_t n = bracket ? strcspn(host + 1, "]") : strcspn(host, ":");
	if (n >= NAME_MAX_BYTES)
		return false;
	memcpy(name, host + bracket, n);
	name[n] = 0;
	const char *rest = host + bracket + n + (bracket && host[1 + n] == ']');
	return !*rest || (*rest == ':' && strspn(rest + 1, "0123456789") == strlen(rest + 1));
}

static bool is_ours(const char *host)
{
	char name[NAME_MAX_BYTES];
	struct in_addr four;
	struct in6_addr six;
	if (!host_name(host, name))
		return false;
	if (inet_pton(AF_INET, name, &four) == 1)
		return (ntohl(four.s_addr) >> 24) == 127;
	if (inet_pton(AF_INET6, name, &six) == 1)
		return IN6_IS_ADDR_LOOPBACK(&six);
	return strcasecmp(name, "localhost") == 0;
}

/* Whether a page of `host` has this origin; with https where something in between has taken that off. */
static bool is_same(const char *origin, const char *host)
{
	const char *name = strstr(origin, "://");
	const bool web = strncmp(origin, "http://", 7) == 0 || strncmp(origin, "https://", 8) == 0;
	return web && strcasecmp(name + strlen("://"), host) == 0;
}

const char *cprof_http_access_refuse(const struct cprof_http_headers *headers, bool any_host)
{
	const char *origin = headers->origin, *host = headers->host ? headers->host : "";
	if (*host && !any_host && !is_ours(host))
		return "the Host of the request is not a name of this machine's loopback: ask for "
		       "127.0.0.1, [::1] or localhost";
	if (origin && !is_same(origin, host))
		return "the request comes from a page of another site (its Origin): profiles are "
		       "not given to it";
	if (headers->fetch_site && strcmp(headers->fetch_site, "cross-site") == 0)
		return "the request comes from a page of another site (Sec-Fetch-Site): type the "
		       "address in instead";
	return NULL;
}
