/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/http/microhttpd_api.h - GNU libmicrohttpd, loaded when a server is wanted and not before.
 *
 * It brings GnuTLS with it, which a run that serves nothing should not wait for. Only the functions used are here; their
 * types are the library's own.
 */
#ifndef CPROF_CONVERT_HTTP_MICROHTTPD_API_H
#define CPROF_CONVERT_HTTP_MICROHTTPD_API_H

#include <microhttpd.h>

#include "cprof/error.h"

/* A row per function: X(member, function). */
#define CPROF_MICROHTTPD_FUNCTIONS(X)                                                              \
	X(start_daemon, MHD_start_daemon)                                                          \
	X(stop_daemon, MHD_stop_daemon)                                                            \
	X(run, MHD_run)                                                                            \
	X(get_timeout, MHD_get_timeout)                                                            \
	X(get_daemon_info, MHD_get_daemon_info)                                                    \
	X(get_connection_info, MHD_get_connection_info)                                            \
	X(lookup_connection_value, MHD_lookup_connection_value)                                    \
	X(suspend_connection, MHD_suspend_connection)                                              \
	X(resume_connection, MHD_resume_connection)                                                \
	X(create_response, MHD_create_response_from_buffer)                                        \
	X(add_response_header, MHD_add_response_header)                                            \
	X(queue_response, MHD_queue_response)                                                      \
	X(destroy_response, MHD_destroy_response)

struct cprof_microhttpd_api {
/* NOLINTNEXTLINE(bugprone-macro-parentheses): the name of a member */
#define CPROF_MICROHTTPD_MEMBER(member, function) __typeof__(function) *member;
	CPROF_MICROHTTPD_FUNCTIONS(CPROF_MICROHTTPD_MEMBER)
#undef CPROF_MICROHTTPD_MEMBER
};

/* The loaded library; stays loaded. UNSUPPORTED if it is not installed. Not for several threads at once. */
struct cprof_error *cprof_microhttpd_api_load(const struct cprof_microhttpd_api **ret_api);

#endif
