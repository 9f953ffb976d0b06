/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cprof/symbolizer_way.h - who says what the debug information of a file means: our own readers, elfutils, or both.
 *
 * Owns the words for it. What each does is in docs/names.md, "Debug information".
 */
#ifndef CPROF_SYMBOLIZER_WAY_H
#define CPROF_SYMBOLIZER_WAY_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum cprof_symbolizer_way {
	CPROF_SYMBOLIZER_AUTO, /* our index, and where that meets a form it does not know, libdwfl */
	CPROF_SYMBOLIZER_INDEX,   /* our index alone */
	CPROF_SYMBOLIZER_LIBDWFL, /* elfutils' libdwfl alone: slow, the reference */
	CPROF_SYMBOLIZER_WAYS,
};

/* "auto", "index", "libdwfl"; false, and nothing is written, for any other word. */
bool cprof_symbolizer_way_parse(const char *text, enum cprof_symbolizer_way *ret_way);

#ifdef __cplusplus
}
#endif

#endif
