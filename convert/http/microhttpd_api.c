/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/http/microhttpd_api.h"

#include <stddef.h>

#include "base/library.h"

struct cprof_error *cprof_microhttpd_api_load(const struct cprof_microhttpd_api **ret_api)
{
#define ROW(member, function) { #function, offsetof(struct cprof_microhttpd_api, member) },
	static const struct cprof_library_row rows[] = { CPROF_MICROHTTPD_FUNCTIONS(ROW) };
#undef ROW
	static struct cprof_library library = {
		.file = "libmicrohttpd.so.12",
		.package = "libmicrohttpd (Debian: libmicrohttpd12)",
		.rows = rows,
		.n_rows = sizeof(rows) / sizeof(rows[0]),
	};
	static struct cprof_microhttpd_api api;
	struct cprof_error *err = cprof_library_load(&library, &api);
	if (err)
		return err;
	*ret_api = &api;
	return NULL;
}
