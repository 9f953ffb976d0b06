/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/net/curl_api.h - libcurl, loaded when the first transfer is wanted and not before.
 *
 * libcurl brings some thirty libraries with it; resolving them takes 4 ms and 10 MB at every start, and most
 * runs send nothing. Only the functions used are here; their types are libcurl's own.
 */
#ifndef CPROF_CONVERT_NET_CURL_API_H
#define CPROF_CONVERT_NET_CURL_API_H

#include <curl/curl.h>

#include "cprof/error.h"

/* A row per function: X(member, function). */
#define CPROF_CURL_FUNCTIONS(X)                                                                    \
	X(easy_init, curl_easy_init)                                                               \
	X(easy_setopt, curl_easy_setopt)                                                           \
	X(easy_perform, curl_easy_perform)                                                         \
	X(easy_getinfo, curl_easy_getinfo)                                                         \
	X(easy_strerror, curl_easy_strerror)                                                       \
	X(easy_cleanup, curl_easy_cleanup)                                                         \
	X(multi_init, curl_multi_init)                                                             \
	X(multi_cleanup, curl_multi_cleanup)                                                       \
	X(multi_add_handle, curl_multi_add_handle)                                                 \
	X(multi_remove_handle, curl_multi_remove_handle)                                           \
	X(multi_perform, curl_multi_perform)                                                       \
	X(multi_poll, curl_multi_poll)                                                             \
	X(multi_info_read, curl_multi_info_read)                                                   \
	X(multi_strerror, curl_multi_strerror)                                                     \
	X(slist_append, curl_slist_append)                                                         \
	X(slist_free_all, curl_slist_free_all)                                                     \
	X(url, curl_url)                                                                           \
	X(url_set, curl_url_set)                                                                   \
	X(url_get, curl_url_get)                                                                   \
	X(url_cleanup, curl_url_cleanup)                                                           \
	X(free, curl_free)

/* curl.h checks the argument of setopt and getinfo by macros of the same names; the functions are meant here. */
#undef curl_easy_setopt
#undef curl_easy_getinfo

struct cprof_curl_api {
/* NOLINTNEXTLINE(bugprone-macro-parentheses): the name of a member */
#define CPROF_CURL_MEMBER(member, function) __typeof__(function) *member;
	CPROF_CURL_FUNCTIONS(CPROF_CURL_MEMBER)
#undef CPROF_CURL_MEMBER
};

/* The loaded library; stays loaded. UNSUPPORTED if it is not installed. Not for several threads at once. */
struct cprof_error *cprof_curl_api_load(const struct cprof_curl_api **ret_api);

#endif
