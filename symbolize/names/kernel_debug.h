/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/names/kernel_debug.h - the running kernel's debug information: lines and inlined calls, which kallsyms cannot give.
 *
 * Owns where its vmlinux and its modules' files are looked for, and how far the kernel lies from where its file says (KASLR). The files
 * are modules like any others: their names are names.h's. A kernel module's are asked by run-time address, for it was relocated to where it is.
 */
#ifndef CPROF_SYMBOLIZE_NAMES_KERNEL_DEBUG_H
#define CPROF_SYMBOLIZE_NAMES_KERNEL_DEBUG_H

#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/module.h"
#include "symbolize/process/debuginfod.h"

/* Zeroed but for the first two, it is ready for use. */
struct cprof_kernel_debug {
	struct cprof_modules *modules; /* borrowed; gets the files; NULL: none is looked for */
	struct cprof_debuginfod *debuginfod; /* borrowed; asked last; NULL: no */

	/* Private. */
	bool tried;
	struct cprof_module *module;         /* borrowed from modules; NULL: no vmlinux */
	uint64_t text;                       /* where the kernel's text begins in it */
	struct cprof_kernel_loaded {         /* a kernel module that was asked for */
		char *name;                  /* owned */
		struct cprof_module *module; /* borrowed from modules; NULL: none */
	} * loaded;                          /* owned */
	size_t n_loaded, cap_loaded;
};

void cprof_kernel_debug_deinit(struct cprof_kernel_debug *debug);

/*
 * Look for vmlinux, once. `trail` (may be NULL) gets a line for every place that was tried and what came of it.
 * Afterwards debug->module is it, or NULL. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_kernel_debug_find(struct cprof_kernel_debug *debug,
					    struct cprof_buffer *trail);

/* The file address of run-time `addr`, in a kernel whose text begins at `start`. After a find with a module. */
uint64_t cprof_kernel_debug_file_addr(const struct cprof_kernel_debug *debug, uint64_t start,
				      uint64_t addr);

/*
 * The file of the kernel module `name`, once: *ret_module, whose addresses are those of the running kernel; NULL: none. It is one that only root can have
 * written. Needs root, who alone is told where a module lies. Takes some milliseconds for each. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_kernel_debug_loaded(struct cprof_kernel_debug *debug, const char *name,
					      struct cprof_module **ret_module);

#endif
