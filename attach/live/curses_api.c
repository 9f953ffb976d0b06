/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/live/curses_api.h"

#include <stddef.h>

#include "base/library.h"

struct cprof_error *cprof_curses_api_load(const struct cprof_curses_api **ret_api)
{
#define ROW(member, function) { #function, offsetof(struct cprof_curses_api, member) },
	static const struct cprof_library_row rows[] = { CPROF_CURSES_FUNCTIONS(ROW) };
#undef ROW
	static struct cprof_library library = {
		.file = "libncursesw.so.6",
		.package = "ncurses (Debian: libncursesw6) for a table that fills the screen",
		.rows = rows,
		.n_rows = sizeof(rows) / sizeof(rows[0]),
	};
	static struct cprof_curses_api api;
	struct cprof_error *err = cprof_library_load(&library, &api);
	if (err)
		return err;
	*ret_api = &api;
	return NULL;
}
