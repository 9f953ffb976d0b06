/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/net/fetch.h - the bytes of profiles from URLs.
 */
#ifndef CPROF_CONVERT_NET_FETCH_H
#define CPROF_CONVERT_NET_FETCH_H

#include "base/options.h"
#include "convert/net/query.h"
#include "convert/net/say.h"
#include "convert/net/source_url.h"
#include "convert/net/tls.h"
#include "cprof/buffer.h"
#include "cprof/error.h"

struct cprof_fetch_request {
	const struct cprof_strings *names; /* files and URLs */
	int64_t seconds, timeout_s;        /* as in cprof_source_url_read() */
	struct cprof_tls tls;
	struct cprof_say say; /* what is waited for, and for how long still */
};

/* What a user might do something about. */
enum cprof_fetch_trouble {
	CPROF_FETCH_FAILED,     /* anything else */
	CPROF_FETCH_TIMED_OUT,  /* after url.timeout_s */
	CPROF_FETCH_NOT_LET_IN, /* the server wants a login, or another one */
	CPROF_FETCH_UNTRUSTED,  /* nobody we trust has signed the server's certificate */
};

/* One source of a list: what came of it, if it is a URL. */
struct cprof_fetch {
	bool is_url; /* false: a file, and all else is empty */
	struct cprof_source_url url;
	struct cprof_query query; /* with a back end: `url` is the address it is asked at */
	struct cprof_buffer bytes;
	struct cprof_error
		*err; /* owned; NULL if the bytes are there; in curl's words or the server's */
	enum cprof_fetch_trouble trouble; /* where there is an error */
};

/*
 * Fetch all URLs among the names, all at the same time, because what they record should be one stretch of time. Blocks
 * until the last has ended. `*ret_fetches` has an entry for each name.
 */
struct cprof_error *cprof_fetch_all(const struct cprof_fetch_request *request,
				    struct cprof_fetch **ret_fetches);
void cprof_fetch_free(struct cprof_fetch *fetches, size_t n);

#endif
