/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/threads/thread_names.h - the names of one address for text: function, file and line, and how far into the function.
 *
 * A view of symbolizer.h that also knows where the function begins, which a profile does not carry.
 */
#ifndef CPROF_ATTACH_THREADS_THREAD_NAMES_H
#define CPROF_ATTACH_THREADS_THREAD_NAMES_H

#include "cprof/error.h"
#include "cprof/maps.h"
#include "cprof/module.h"
#include "cprof/symbolizer.h"

struct cprof_thread_names {
	struct cprof_symbolizer_options options;
	struct cprof_symbolizer *symbolizer; /* owned */
	struct cprof_maps *maps;             /* borrowed */
	struct cprof_modules *modules;       /* borrowed */
};

struct cprof_thread_name {
	const struct cprof_symbol_frame *frames; /* borrowed; innermost inlined function first */
	size_t n;
	const char *module;      /* path of the mapping, "" for none */
	uint64_t function_start; /* run-time address; 0 unknown */
	uint64_t module_offset;  /* file address, for where there is no function */
};

struct cprof_error *cprof_thread_names_init(struct cprof_thread_names *names,
					    const struct cprof_symbolizer_options *options,
					    struct cprof_modules *modules, struct cprof_maps *maps);
void cprof_thread_names_deinit(struct cprof_thread_names *names);

/* Names of look-up address `addr` (a caller's return address minus 1). Errors: NO_MEMORY. */
struct cprof_error *cprof_thread_names_get(struct cprof_thread_names *names, uint64_t addr,
					   struct cprof_thread_name *ret_name);

#endif
