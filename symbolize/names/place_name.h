/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/names/place_name.h - names that say no more than an address does: a place in a file, or that nothing is known.
 */
#ifndef CPROF_SYMBOLIZE_NAMES_PLACE_NAME_H
#define CPROF_SYMBOLIZE_NAMES_PLACE_NAME_H

#include <stdbool.h>

#define CPROF_PLACE_JIT    "[JIT]"
#define CPROF_PLACE_REGION "[anon: "

/*
 * "libc.so.6+0x1234", as the symbolizer calls what it has no name for, "0x401000", and what other tools write there:
 * "[unknown]", "<unknown>", "??"; and a region of code made at run time, "[JIT]" or "[anon: v8]". A name of this kind may always make way for another one.
 */
bool cprof_place_name_is(const char *name);

#endif
