/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/net/tls.h - whom an https connection trusts, and as whom we come.
 */
#ifndef CPROF_CONVERT_NET_TLS_H
#define CPROF_CONVERT_NET_TLS_H

/* Files in PEM format, borrowed; NULL: curl's defaults. */
struct cprof_tls {
	const char *cert, *key; /* the client's certificate, and its private key */
	const char *ca;         /* certificates to trust */
	const char *least; /* no file: the oldest TLS that is spoken, "1.2" or "1.3"; NULL: 1.2 */
	const char *auth;  /* no file: what to log in with, see cprof_curl_options_log_in() */
};

#endif
