/*
 * attach/heap/heap_method.h - by which means allocators are watched: jumps in the target, uprobes, or some of each.
 *
 * Owns the choice (a row per -heap-method) and puts what the means see together: samples, living blocks, counts. The
 * means themselves are heap_install.h with heap_reader.h, and heap_uprobe.h.
 *
 * One object's functions are all watched by the same means, because a block that one means saw to be allocated must
 * not be freed past it.
 */
#ifndef CPROF_ATTACH_HEAP_HEAP_METHOD_H
#define CPROF_ATTACH_HEAP_HEAP_METHOD_H

#include "attach/heap/inject/heap_install.h"
#include "attach/heap/inject/heap_reader.h"
#include "attach/heap/uprobe/heap_uprobe.h"
#include "attach/run/run_log.h"
#include "base/error.h"
#include "base/hash.h"

struct cprof_heap_method;

struct cprof_heap_sources {
	const struct cprof_heap_method *method;
	struct cprof_heap_install *install; /* borrowed; initialized by the caller */
	struct cprof_heap_reader *reader;   /* borrowed */
	struct cprof_run_log *log;          /* borrowed */
	struct cprof_heap_install_options options;
	struct cprof_heap_uprobe *uprobe; /* owned; NULL: no function is watched by uprobes */
	char *no_uprobe;                  /* owned; why there are none where some were wanted */
	struct cprof_heap_uprobe_counts counts; /* as seen last */
};

struct cprof_heap_method {
	const char *name;
	size_t uprobe_way; /* the first way of attaching uprobes that is tried (heap_uprobe_link.h) */
	/* As cprof_heap_attach(): on error the target is as it was. */
	struct cprof_error *(*attach)(struct cprof_heap_sources *sources);
	/* Watch what was mapped since. */
	struct cprof_error *(*extend)(struct cprof_heap_sources *sources);
};

/* USAGE names the methods there are. */
struct cprof_error *cprof_heap_method_find(const char *name,
					   const struct cprof_heap_method **ret_method);

/* Watch every allocator there is. What cannot be watched has its reason in install->hooks. */
struct cprof_error *cprof_heap_sources_attach(struct cprof_heap_sources *sources,
					      const struct cprof_heap_install_options *options);

/* Look for allocators that were mapped since, about once a second; install->maps must be fresh. */
struct cprof_error *cprof_heap_sources_extend(struct cprof_heap_sources *sources);

/* All is out of the target. `final` as for cprof_heap_detach(): nothing is counted any more when it is called. */
struct cprof_error *cprof_heap_sources_detach(struct cprof_heap_sources *sources,
					      cprof_heap_final *final, void *ctx);
void cprof_heap_sources_deinit(struct cprof_heap_sources *sources);

/* As cprof_heap_reader_*(), over all means. */
struct cprof_error *cprof_heap_sources_poll(struct cprof_heap_sources *sources,
					    cprof_heap_sample_fn *fn, void *ctx,
					    size_t *ret_samples);
/* What uprobes have seen is in our own memory and handed over at once; it goes with them. */
struct cprof_error *cprof_heap_sources_keep(struct cprof_heap_sources *sources,
					    cprof_heap_sample_fn *fn, void *ctx);
struct cprof_error *cprof_heap_sources_kept(struct cprof_heap_sources *sources,
					    cprof_heap_sample_fn *fn, void *ctx);
struct cprof_error *cprof_heap_sources_live(const struct cprof_heap_sources *sources,
					    struct cprof_map64 *ids);
void cprof_heap_sources_set_period(struct cprof_heap_sources *sources, uint64_t period);
uint64_t cprof_heap_sources_lost(const struct cprof_heap_sources *sources);
uint64_t cprof_heap_sources_lost_bytes(const struct cprof_heap_sources *sources);
uint64_t cprof_heap_sources_nested(const struct cprof_heap_sources *sources);
uint64_t cprof_heap_sources_table_full(const struct cprof_heap_sources *sources);

/* The target ended or runs another program. */
bool cprof_heap_sources_over(const struct cprof_heap_sources *sources);

/* The function whose sample this is; NULL: not one of ours. */
const struct cprof_heap_hook *cprof_heap_sources_hook(const struct cprof_heap_sources *sources,
						      const struct cprof_shim_cell *cell);

/* What is watched by which means and what that costs, for the summary and the comments. */
void cprof_heap_sources_report(const struct cprof_heap_sources *sources);

#endif
