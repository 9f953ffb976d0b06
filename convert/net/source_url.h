/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/net/source_url.h - which sources are URLs, what is to be asked of them, and where their symbols are.
 */
#ifndef CPROF_CONVERT_NET_SOURCE_URL_H
#define CPROF_CONVERT_NET_SOURCE_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "cprof/buffer.h"

struct cprof_source_url {
	struct cprof_buffer text; /* with a scheme, a path, and seconds=N where that is wanted */
	bool insecure;            /* https, whoever signed the certificate */
	int64_t seconds;          /* how long the server will record; 0: not said */
	int64_t timeout_s;
};

/*
 * As go tool pprof: "http://host/path" and "host:6060/path"; without a path it is /debug/pprof/profile. `seconds` and
 * `timeout_s` are what is asked for, below 1 if nothing is. `*ret` begins as zeros; its text is the caller's to free.
 * False where `source` is no URL but a file, and then it is left alone.
 */
bool cprof_source_url_read(const char *source, int64_t seconds, int64_t timeout_s,
			   struct cprof_source_url *ret);

/* Where the server that answers at `url` names addresses: beside Go's and gperftools' profiles at "symbol". */
void cprof_source_url_symbols(const char *url, struct cprof_buffer *ret);

#endif
