/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/names/kernel_search.h - the search for one file of the running kernel: its vmlinux, or a module of it.
 *
 * Owns the proof that a file belongs to this kernel: the build-id that the kernel tells below /sys. Which paths are tried, and in which
 * order, is for who searches. Our own root is searched, never a target's.
 */
#ifndef CPROF_SYMBOLIZE_NAMES_KERNEL_SEARCH_H
#define CPROF_SYMBOLIZE_NAMES_KERNEL_SEARCH_H

#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/module.h"
#include "symbolize/process/debuginfod.h"

struct cprof_kernel_search {
	struct cprof_modules *modules;       /* borrowed; gets what is opened */
	struct cprof_debuginfod *debuginfod; /* borrowed; NULL: nobody is asked */
	struct cprof_buffer
		*trail; /* borrowed; a line for each place that was tried; may be NULL */

	uint8_t build_id[CPROF_BUILD_ID_MAX];
	uint8_t build_id_len;
	bool any; /* a path led to a file */
	struct cprof_module
		*module; /* what was found, borrowed from modules; then nothing more is tried */
	struct cprof_error *err; /* owned, to be passed on; NO_MEMORY: likewise */
};

/* The notes that the kernel shows of itself or a module. False: they cannot be read, or have no build-id. */
bool cprof_kernel_search_begin(struct cprof_kernel_search *search, const char *notes_path);

/* Try the file at `path`, called `name` in the trail. */
void cprof_kernel_search_try(struct cprof_kernel_search *search, const char *path,
			     const char *name);
void cprof_kernel_search_by_build_id(struct cprof_kernel_search *search);
void cprof_kernel_search_by_debuginfod(struct cprof_kernel_search *search, const char *what);

/* A line of the trail. */
void cprof_kernel_search_note(const struct cprof_kernel_search *search, const char *path,
			      const char *what);

#endif
