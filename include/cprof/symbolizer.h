/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cprof/symbolizer.h - the names of an address: function, file, line and the functions inlined there.
 *
 * The front of everything that knows names: symbol tables, debug information, the kernel's symbols, maps
 * of JIT code. Owns the order in which they are asked and a cache of answers by (module, file address).
 * Meant for the time after the sampling window: a first look into a module may take milliseconds.
 *
 * Not thread-safe: one thread uses it and its modules. Where libdwfl is asked (symbolizer_way.h; by default only about what our own readers do not
 * know) that is done by a child process, which is ended with the symbolizer: then no other thread may be running.
 */
#ifndef CPROF_SYMBOLIZER_H
#define CPROF_SYMBOLIZER_H

#include "cprof/demangle.h"
#include "cprof/error.h"
#include "cprof/maps.h"
#include "cprof/module.h"
#include "cprof/symbolizer_way.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cprof_symbolizer_options {
	enum cprof_symbolizer_way way;
	enum cprof_demangle demangle;
	bool no_inlines;
	bool no_lines;         /* names only */
	bool debuginfod;       /* may ask DEBUGINFOD_URLS for missing files */
	const char *cache_dir; /* NULL: no cache on disk */
	const struct cprof_prefetch_piece
		*kernel_text; /* by cprof_kernel_text(), for when it is needed; NULL: none */

	/* Told to people while they wait for a download; may be NULL. */
	void (*say)(void *ctx, const char *text);
	void *say_ctx;
};

struct cprof_symbol_frame {
	const char *name;        /* never empty; "module+0x1234" where nothing better is known */
	const char *system_name; /* as in the symbol table, mangled */
	const char *file;        /* "" where unknown */
	int64_t line, column, start_line; /* 0 where unknown */
};

struct cprof_symbolizer;

/* `options` and `modules` are borrowed and must outlive the symbolizer. */
struct cprof_error *cprof_symbolizer_new(const struct cprof_symbolizer_options *options,
					 struct cprof_modules *modules,
					 struct cprof_symbolizer **ret_symbolizer);
void cprof_symbolizer_free(struct cprof_symbolizer *symbolizer);

/*
 * Name run-time address `addr` (already a look-up address: 1 taken off for callers) in `map` of `maps`.
 * Innermost inlined function first, the function that has a symbol last; at least one frame. `map` may be
 * dead by now, or NULL for an address in no mapping. Borrowed until the symbolizer is freed. Errors:
 * NO_MEMORY; whatever is missing or broken in files is no error but fewer names.
 */
struct cprof_error *cprof_symbolizer_addr(struct cprof_symbolizer *symbolizer,
					  const struct cprof_maps *maps, struct cprof_map *map,
					  uint64_t addr,
					  const struct cprof_symbol_frame **ret_frames,
					  size_t *ret_n);

/* The same for an address as in the module's file, with no process: a profile to be symbolized, tests. */
struct cprof_error *cprof_symbolizer_file_addr(struct cprof_symbolizer *symbolizer,
					       struct cprof_module *module, uint64_t file_addr,
					       const struct cprof_symbol_frame **ret_frames,
					       size_t *ret_n);

/*
 * These addresses will be asked for: of modules with hundreds of megabytes of debug information they are looked up now, in the order that
 * takes least memory. Before anything else is asked of the module. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_symbolizer_expect(struct cprof_symbolizer *symbolizer,
					    struct cprof_module *module, const uint64_t *file_addrs,
					    size_t n);

/*
 * Name a kernel address: by the kernel's debug information where that is found, else by /proc/kallsyms, then one frame. Where that is restricted (kernel.kptr_restrict) the name is
 * "[kernel]" and cprof_symbolizer_notes() carries the hint.
 */
struct cprof_error *cprof_symbolizer_kernel(struct cprof_symbolizer *symbolizer, uint64_t addr,
					    const struct cprof_symbol_frame **ret_frames,
					    size_t *ret_n);

/* The kernel's text [start, end) for its Mapping; false where kallsyms does not tell. */
bool cprof_symbolizer_kernel_range(struct cprof_symbolizer *symbolizer, uint64_t *ret_start,
				   uint64_t *ret_end);

/*
 * What users should know about names that are missing, a line each ("kernel names are hidden: ..."); "" where
 * there is nothing to say. Borrowed until the next call of any function here.
 */
const char *cprof_symbolizer_notes(struct cprof_symbolizer *symbolizer);

#ifdef __cplusplus
}
#endif

#endif
