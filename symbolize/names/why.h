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

/* What a module does not tell; NULL: nothing is missing. */
struct cprof_why_lacks {
	const char *what; /* in words; static, or the module's */
	bool functions;   /* names, and not only lines */
};

/* The same in short; `advice` gets a line for each thing that would help, the nearest first. Errors: NO_MEMORY. */
struct cprof_error *cprof_why_lacks(struct cprof_module *module,
				    const struct cprof_why_options *options,
				    struct cprof_why_lacks *ret_lacks, struct cprof_buffer *advice);

/* Code that was made at run time: areas without a file. */
struct cprof_why_jit {
	size_t n;
	uint64_t bytes;
};

/*
 * Calls `fn` once for each file with executable mappings. `modules` gets what is opened, and `jit` is added to. Errors: those of
 * cprof_maps_refresh(), NO_MEMORY, and of `fn`.
 */
typedef struct cprof_error *cprof_why_fn(void *ctx, struct cprof_module *module);
struct cprof_error *cprof_why_each(struct cprof_modules *modules, struct cprof_maps *maps,
				   cprof_why_fn *fn, void *ctx, struct cprof_why_jit *jit);

/*
 * cprof_why_module() for all executable mappings of a process, one entry for each file, and its JIT code. `modules` gets what is
 * opened. Errors: those of cprof_maps_refresh(), NO_MEMORY.
 */
struct cprof_error *cprof_why_process(struct cprof_modules *modules, struct cprof_maps *maps,
				      const struct cprof_why_options *options,
				      struct cprof_buffer *out);

/* The kernel's names, found or hidden, and its debug information. `modules` gets that if it is found. Errors: NO_MEMORY. */
struct cprof_error *cprof_why_kernel(struct cprof_modules *modules,
				     const struct cprof_why_options *options,
				     struct cprof_buffer *out);

#endif
