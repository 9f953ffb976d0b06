/*
 * convert/fetch.h - profiles from URLs, and a copy of them on disk.
 */
#ifndef CPROF_CONVERT_FETCH_H
#define CPROF_CONVERT_FETCH_H

#include "base/buffer.h"
#include "base/error.h"
#include "convert/load.h"

/*
 * Whether `source` names a URL and not a file, and the URL to ask: a scheme is added to "host:port/path", and
 * seconds=N where -seconds is given. *ret_timeout_s is how long it may take. False (and nothing written) for a file.
 */
bool cprof_fetch_url(const struct cprof_load *load, const char *source,
		     struct cprof_buffer *ret_url, int64_t *ret_seconds, int64_t *ret_timeout_s);

/*
 * Fetch `url`, appended to `out`. Says what it waits for, and for how long still. Errors: CPROF_ERR_OS with curl's or the
 * server's words; CPROF_ERR_UNSUPPORTED for more than 4 GiB.
 */
struct cprof_error *cprof_fetch_bytes(const struct cprof_load *load, const char *url,
				      int64_t seconds, int64_t timeout_s, struct cprof_buffer *out);

/* Save a profile that came from a URL in $PPROF_TMPDIR or the cache directory, and say where. Failing is only said. */
void cprof_fetch_save(const struct cprof_load *load, const struct cprof_profile *profile);

#endif
