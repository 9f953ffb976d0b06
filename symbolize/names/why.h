/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/names/why.h - what is known about the names of one module, in words: found, looked for, what would be better.
 */
#ifndef CPROF_SYMBOLIZE_NAMES_WHY_H
#define CPROF_SYMBOLIZE_NAMES_WHY_H

#include "cprof/buffer.h"
#include "symbolize/names/names.h"

struct cprof_why_options {
	struct cprof_names_options names;
	const char *
		ask_servers; /* what a user writes to have debuginfod servers asked: "-debuginfod" */
};

/* Append some lines on `module`; reads its symbol tables and debug sections. Errors: NO_MEMORY. */
struct cprof_error *cprof_why_module(struct cprof_module *module,
				     const struct cprof_why_options *options,
				     struct cprof_buffer *out);

/*
 * The same for all executable mappings of a process, one entry for each file, and its JIT code. `modules` gets what is
 * opened. Errors: those of cprof_maps_refresh(), NO_MEMORY.
 */
struct cprof_error *cprof_why_process(struct cprof_modules *modules, struct cprof_maps *maps,
				      const struct cprof_why_options *options,
				      struct cprof_buffer *out);

/* The kernel's names: found or hidden. Errors: NO_MEMORY. */
struct cprof_error *cprof_why_kernel(struct cprof_buffer *out);

#endif
