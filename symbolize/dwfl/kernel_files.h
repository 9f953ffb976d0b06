/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/dwfl/kernel_files.h - the files of a kernel and its modules on the disk, as libdwfl knows where distributions put them.
 *
 * libdwfl walks and names; it reads none of them for us: what is found is opened by who asked, and proved to be of the running
 * kernel. It opens files below /boot, /lib/modules and /usr/lib/debug only, which are root's, and asks no server.
 *
 * Source of truth: the comment of dwfl_linux_kernel_report_offline() in elfutils, which says where it looks.
 */
#ifndef CPROF_SYMBOLIZE_DWFL_KERNEL_FILES_H
#define CPROF_SYMBOLIZE_DWFL_KERNEL_FILES_H

#include <stdbool.h>

#include "cprof/error.h"

#define CPROF_KERNEL_FILES_KERNEL "kernel" /* the kernel proper, as a module's name */

/* A file that was found; the text is good for this call only. False: enough. */
typedef bool cprof_kernel_files_fn(void *ctx, const char *module, const char *path);

/*
 * Call `fn` for the vmlinux of `release` ("6.1.0-50-amd64"); `modules`: for each kernel module instead, "_" in its name as the kernel says it.
 * `release` may be a directory to look in, beginning with "/". Takes 0.2 ms, with modules one more for each hundred of them. Errors: UNSUPPORTED
 * (no libdw), NO_MEMORY.
 */
struct cprof_error *cprof_kernel_files_each(const char *release, bool modules,
					    cprof_kernel_files_fn *fn, void *ctx);

#endif
