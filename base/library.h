/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/library.h - a shared library that is loaded when it is first wanted and not at every start.
 *
 * For libraries that most runs never call and that cost much to load. Who uses one declares a struct of function
 * pointers, with the library's own types, and a row per function (convert/net/curl_api.h, attach/perf/pfm_api.h).
 */
#ifndef CPROF_BASE_LIBRARY_H
#define CPROF_BASE_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

#include "cprof/error.h"

struct cprof_library_row {
	const char *function;
	size_t offset; /* of its pointer in the struct */
};

struct cprof_library {
	const char *file;    /* as the loader finds it: "libpfm.so.4" */
	const char *package; /* for the hint: "libpfm4 (Debian: libpfm4)" */
	const struct cprof_library_row *rows;
	size_t n_rows;
	bool loaded; /* cprof_library_load()'s: it has been, and for good */
};

/*
 * Fill in the pointers at `ret_api`; the library then stays loaded, and to call this again with the same two does nothing. On error (UNSUPPORTED: not installed, or without one
 * of the functions) the struct is to be thrown away.
 */
struct cprof_error *cprof_library_load(struct cprof_library *library, void *ret_api);

#endif
