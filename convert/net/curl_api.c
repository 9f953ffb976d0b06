/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/net/curl_api.h"

#include <stddef.h>

#include "base/library.h"

struct cprof_error *cprof_curl_api_load(const struct cprof_curl_api **ret_api)
{
#define ROW(member, function) { #function, offsetof(struct cprof_curl_api, member) },
	static const struct cprof_library_row rows[] = { CPROF_CURL_FUNCTIONS(ROW) };
#undef ROW
	static struct cprof_library library = {
		.file = "libcurl.so.4", /* the name of its binary interface since 2006 */
		.package = "libcurl (Debian: libcurl4)",
		.rows = rows,
		.n_rows = sizeof(rows) / sizeof(rows[0]),
	};
	static struct cprof_curl_api api;
	struct cprof_error *err = cprof_library_load(&library, &api);
	if (err)
		return err;
	*ret_api = &api;
	return NULL;
}
