/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/pfm_api.h"

#include <stddef.h>

#include "base/library.h"

struct cprof_error *cprof_pfm_api_load(const struct cprof_pfm_api **ret_api)
{
#define ROW(member, function) { #function, offsetof(struct cprof_pfm_api, member) },
	static const struct cprof_library_row rows[] = { CPROF_PFM_FUNCTIONS(ROW) };
#undef ROW
	static struct cprof_library library = {
		.file = "libpfm.so.4",
		.package = "libpfm4 (Debian: libpfm4), or leave -event at its default",
		.rows = rows,
		.n_rows = sizeof(rows) / sizeof(rows[0]),
	};
	static struct cprof_pfm_api api;
	struct cprof_error *err = cprof_library_load(&library, &api);
	if (err)
		return err;
	/* May be called again and then does nothing; there is nothing to give back. */
	pfm_err_t ret = api.initialize();
	if (ret != PFM_SUCCESS)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED, "libpfm4: %s", api.strerror(ret));
	*ret_api = &api;
	return NULL;
}
