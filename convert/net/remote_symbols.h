/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/net/remote_symbols.h - names of addresses from the server that a profile came from.
 *
 * Profiles as text (Go's "?debug=1", gperftools' and tcmalloc's servers) have addresses only; the process that wrote
 * them knows their names, and this machine may not have its program. Source of truth for the exchange: gperftools,
 * "pprof and Remote Servers": addresses joined by '+' are posted, lines "0xADDRESS NAME" come back.
 */
#ifndef CPROF_CONVERT_NET_REMOTE_SYMBOLS_H
#define CPROF_CONVERT_NET_REMOTE_SYMBOLS_H

#include "convert/net/source_url.h"
#include "convert/net/tls.h"
#include "cprof/error.h"
#include "cprof/profile.h"

struct cprof_remote_symbols_request {
	const struct cprof_source_url *url; /* where the profile is from */
	struct cprof_tls tls;
	bool force; /* mappings that have names already, too */
};

/* Name the addresses that have no name yet, by asking the server. Blocks, up to a minute a mapping. */
struct cprof_error *cprof_remote_symbols_add(const struct cprof_remote_symbols_request *request,
					     struct cprof_profile *profile);

/* Take the names in a server's answer, for the locations of this mapping (its number). `answer` ends with a zero byte. */
struct cprof_error *cprof_remote_symbols_take(struct cprof_profile *profile, uint32_t mapping,
					      const char *answer, size_t n);

#endif
