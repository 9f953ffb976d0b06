/*
 * convert/net/fetch.h - profiles from URLs, and a copy of them on disk.
 */
#ifndef CPROF_CONVERT_NET_FETCH_H
#define CPROF_CONVERT_NET_FETCH_H

#include "base/buffer.h"
#include "base/error.h"
#include "convert/cli/load.h"
#include "convert/net/source_url.h"

/* One source of a list: what came of it, if it is a URL. */
struct cprof_fetch {
	bool is_url; /* false: a file, and all else is empty */
	struct cprof_source_url url;
	struct cprof_buffer bytes;
	struct cprof_error *err; /* owned; NULL if the bytes are there */
};

/*
 * Fetch all URLs among `names`, all at the same time, because what they record should be one stretch of time. Says what it
 * waits for, and for how long still. `*ret_fetches` has an entry for each name; an entry's error is curl's or the server's words.
 */
struct cprof_error *cprof_fetch_all(const struct cprof_load *load,
				    const struct cprof_strings *names,
				    struct cprof_fetch **ret_fetches);
void cprof_fetch_free(struct cprof_fetch *fetches, size_t n);

/* What all requests have in common, for a CURL handle: redirects, certificates, who we are. */
struct cprof_curl_api;
void cprof_fetch_set_options(const struct cprof_curl_api *api, void *curl,
			     const struct cprof_load *load, bool insecure);

/* Save a profile that came from a URL in $PPROF_TMPDIR or the cache directory, and say where. Failing is only said. */
void cprof_fetch_save(const struct cprof_load *load, const struct cprof_profile *profile);

#endif
