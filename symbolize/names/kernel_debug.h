/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/names/kernel_debug.h - the running kernel's debug information: lines and inlined calls, which kallsyms cannot give.
 *
 * Owns where its vmlinux is looked for, the proof that it is this kernel's (the build-id that the kernel tells in /sys/kernel/notes), and
 * how far the kernel lies from where the file says (KASLR). The file is a module like any other: its names are names.h's.
 */
#ifndef CPROF_SYMBOLIZE_NAMES_KERNEL_DEBUG_H
#define CPROF_SYMBOLIZE_NAMES_KERNEL_DEBUG_H

#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/module.h"
#include "symbolize/process/debuginfod.h"

/* Zeroed but for the first two, it is ready for use. */
struct cprof_kernel_debug {
	struct cprof_modules *modules; /* borrowed; gets the file; NULL: it is not looked for */
	struct cprof_debuginfod *debuginfod; /* borrowed; asked last; NULL: no */

	/* Private. */
	bool tried;
	struct cprof_module *module; /* borrowed from modules; NULL: none */
	uint64_t text;               /* where the kernel's text begins in it */
	uint8_t build_id[CPROF_BUILD_ID_MAX];
	uint8_t build_id_len;
};

/*
 * Look for the file, once. `trail` (may be NULL) gets a line for every place that was tried and what came of it.
 * Afterwards debug->module is it, or NULL. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_kernel_debug_find(struct cprof_kernel_debug *debug,
					    struct cprof_buffer *trail);

/* The file address of run-time `addr`, in a kernel whose text begins at `start`. After a find with a module. */
uint64_t cprof_kernel_debug_file_addr(const struct cprof_kernel_debug *debug, uint64_t start,
				      uint64_t addr);

#endif
