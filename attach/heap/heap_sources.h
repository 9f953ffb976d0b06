/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/heap_sources.h - everything that sees a process's allocations, as one: jumps in the target, uprobes, or both.
 *
 * Owns the list of functions to be watched (heap_hook.h), what is injected (heap_install.h) with the reader of its cells
 * (heap_reader.h), and the uprobes (heap_by_uprobe.h); drives them in the order that the method wants (heap_method.h), and
 * puts together what they see: samples, living blocks, counts.
 */
#ifndef CPROF_ATTACH_HEAP_HEAP_SOURCES_H
#define CPROF_ATTACH_HEAP_HEAP_SOURCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/heap/alloc/heap_sample.h"
#include "attach/heap/heap_by_uprobe.h"
#include "attach/heap/heap_method.h"
#include "attach/heap/inject/heap_hook.h"
#include "attach/heap/inject/heap_install.h"
#include "attach/heap/inject/heap_reader.h"
#include "attach/heap/uprobe/heap_uprobe.h"
#include "attach/run/run_log.h"
#include "cprof/error.h"
#include "cprof/hash.h"

struct cprof_heap_sources {
	const struct cprof_heap_method *method; /* borrowed */
	struct cprof_run_log *log;              /* borrowed */
	struct cprof_heap_install_options options;
	struct cprof_heap_hooks hooks;
	struct cprof_heap_install install;
	struct cprof_heap_reader reader; /* its pages are NULL where nothing is injected */
	struct cprof_heap_by_uprobe by_uprobe;
	struct cprof_heap_uprobe_counts counts; /* as seen last */
	size_t sites; /* places of the program's own probes that are watched in the place of all else; 0: none */
};

/* All is borrowed. Does nothing to the target. */
void cprof_heap_sources_init(struct cprof_heap_sources *sources,
			     const struct cprof_heap_method *method, struct cprof_target *target,
			     struct cprof_maps *maps, struct cprof_modules *modules,
			     struct cprof_run_log *log);
/* After the detach. All zeros is fine as well. */
void cprof_heap_sources_deinit(struct cprof_heap_sources *sources);

/*
 * Watch every allocator there is. What cannot be watched has its reason in its hook. On error the target is as it was.
 * Errors: those of cprof_heap_install_plan(), cprof_heap_install_attach() and cprof_heap_uprobe_open(), as far as the
 * method uses them.
 */
struct cprof_error *cprof_heap_sources_attach(struct cprof_heap_sources *sources,
					      const struct cprof_heap_install_options *options);

/* Look for allocators that were mapped since, about once a second; the target's maps must be fresh. */
struct cprof_error *cprof_heap_sources_extend(struct cprof_heap_sources *sources);

/* All is out of the target. `final` as for cprof_heap_install_detach(): nothing is counted any more when it is called. */
struct cprof_error *cprof_heap_sources_detach(struct cprof_heap_sources *sources,
					      cprof_heap_final *final, void *ctx);

/* As cprof_heap_reader_*(), over all means. */
struct cprof_error *cprof_heap_sources_poll(struct cprof_heap_sources *sources,
					    cprof_heap_sample_fn *fn, void *ctx,
					    size_t *ret_samples);
/* What uprobes have seen is in our own memory and handed over at once; it goes with them. */
struct cprof_error *cprof_heap_sources_keep(struct cprof_heap_sources *sources,
					    cprof_heap_sample_fn *fn, void *ctx);
struct cprof_error *cprof_heap_sources_kept(struct cprof_heap_sources *sources,
					    cprof_heap_sample_fn *fn, void *ctx);
/* *ret_whole: false if the injected data was gone, so that not all of them are in `ids`. */
struct cprof_error *cprof_heap_sources_live(struct cprof_heap_sources *sources,
					    struct cprof_map64 *ids, bool *ret_whole);
void cprof_heap_sources_set_period(struct cprof_heap_sources *sources, uint64_t period);

/* Samples that were lost, and the bytes of their blocks. */
uint64_t cprof_heap_sources_lost(const struct cprof_heap_sources *sources);
uint64_t cprof_heap_sources_lost_bytes(const struct cprof_heap_sources *sources);
/* Samples that fell on an allocator's calls of itself. */
uint64_t cprof_heap_sources_nested(const struct cprof_heap_sources *sources);
/* Sampled blocks that found no room in the table of living ones. */
uint64_t cprof_heap_sources_table_full(const struct cprof_heap_sources *sources);

/* The target ended or runs another program. */
bool cprof_heap_sources_over(const struct cprof_heap_sources *sources);

/* The function whose sample this is; NULL: not one of ours. */
const struct cprof_heap_hook *cprof_heap_sources_hook(const struct cprof_heap_sources *sources,
						      const struct cprof_shim_cell *cell);

/* How many functions are watched. */
uint64_t cprof_heap_sources_watched(const struct cprof_heap_sources *sources);

/* Is the code at `addr` that of an allocator, as far as its functions are known? */
bool cprof_heap_sources_is_allocator(const struct cprof_heap_sources *sources, uint64_t addr);

/* As cprof_pool_find_inside(): is the code at `addr` that of a function of -heap-hook that allocates? */
bool cprof_heap_sources_in_pool(const struct cprof_heap_sources *sources, uint64_t addr);

#endif
