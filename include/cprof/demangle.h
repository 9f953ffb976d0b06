/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cprof/demangle.h - names as people write them, from names as linkers see them.
 *
 * Owns the forms a user can choose; the grammar of C++ names and of Rust's legacy ones is libiberty's. The
 * short form is pprof's default: no parameters, no template arguments, no clone suffixes.
 *
 * Source of truth: Itanium C++ ABI "External Names"; Rust RFC 2603.
 */
#ifndef CPROF_DEMANGLE_H
#define CPROF_DEMANGLE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum cprof_demangle {
	CPROF_DEMANGLE_SHORT,     /* as pprof shows it: no parameters, no template arguments */
	CPROF_DEMANGLE_TEMPLATES, /* no parameters */
	CPROF_DEMANGLE_FULL,
	CPROF_DEMANGLE_NONE,
};

/* The name to show for symbol `name`: a malloc'd string, or NULL where `name` is the one to show. */
char *cprof_demangle(const char *name, enum cprof_demangle form);

/*
 * The same for a name from debug information that was never mangled ("sort<int>"): only its template arguments
 * may have to go.
 */
char *cprof_demangle_plain(const char *name, enum cprof_demangle form);

#ifdef __cplusplus
}
#endif

#endif
