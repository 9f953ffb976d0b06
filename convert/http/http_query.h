/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/http/http_query.h - the parameters of a request: "seconds=5&debug=1", from its address or a posted form.
 *
 * Read as Go's net/url does, since that is what scrapers were written against: the first of several values counts, a pair
 * with a ';' or a broken escape is left out, '+' is a blank. Source: WHATWG URL Standard "application/x-www-form-urlencoded
 * parsing", Go's net/url ParseQuery.
 */
#ifndef CPROF_CONVERT_HTTP_HTTP_QUERY_H
#define CPROF_CONVERT_HTTP_HTTP_QUERY_H

#include <stdbool.h>
#include <stddef.h>

#include "cprof/buffer.h"

/*
 * The first value of `name` in the `n` bytes at `query`; false, and nothing appended, where there is none. `value` may be
 * without a text: it is "" then. A zero byte in a value ends it.
 */
bool cprof_http_query_get(const char *query, size_t n, const char *name,
			  struct cprof_buffer *value);

#endif
