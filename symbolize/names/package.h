/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/names/package.h - which step of the system's package manager would bring a file's debug information.
 *
 * Reads the target's own root: what is installed in its container counts, not what we have. Sources of truth:
 * os-release(5); dpkg(1) "/var/lib/dpkg/info"; Debian wiki "AutomaticDebugPackages".
 */
#ifndef CPROF_SYMBOLIZE_NAMES_PACKAGE_H
#define CPROF_SYMBOLIZE_NAMES_PACKAGE_H

#include "cprof/buffer.h"
#include "cprof/error.h"

/*
 * Append one line of advice for the file at `path` below `root` ("" is ours): "apt install redis-server-dbgsym ...".
 * Nothing is appended where the system or the package is unknown. `ask_servers`: what a user writes to have debuginfod
 * servers asked, which on some systems is the only way. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_package_advise(const char *root, const char *path,
					 const char *ask_servers, struct cprof_buffer *out);

#endif
