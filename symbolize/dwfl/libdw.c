/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/dwfl/libdw.h"

#include <stddef.h>

#include "base/library.h"

struct cprof_error *cprof_libdw_load(struct cprof_libdw *ret_libdw)
{
#define ROW(function) { #function, offsetof(struct cprof_libdw, function) },
	static const struct cprof_library_row rows[] = { CPROF_LIBDW_FUNCTIONS(ROW) };
#undef ROW
	static struct cprof_library library = {
		.file = "libdw.so.1",
		.package = "elfutils' libdw (Debian: libdw1)",
		.rows = rows,
		.n_rows = sizeof(rows) / sizeof(rows[0]),
	};
	static struct cprof_libdw api;
	struct cprof_error *err = cprof_library_load(&library, &api);
	if (err)
		return err;
	/* May be called again; there is nothing to give back. */
	if (api.elf_version(EV_CURRENT) == EV_NONE)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "libelf is too old: it does not know this version of ELF");
	*ret_libdw = api;
	return NULL;
}
