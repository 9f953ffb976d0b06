/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/uprobe/heap_uprobe.h - watch allocator functions by uprobes: for what cannot be patched, or where nothing may be injected.
 *
 * The kernel puts a breakpoint at each function and runs attach/heap/uprobe/heap.bpf.c there, which does what the injected code does:
 * countdown, samples, following of the sampled blocks. Nothing of ours is in the target, no thread of it is stopped,
 * and the kernel takes the breakpoints out when we end in whatever way. The price is a trap a call (docs/heap.md).
 *
 * Owns the probes. What they run is heap_uprobe_program.h's, where in a function one goes heap_probe.h's, how it is attached
 * heap_uprobe_link.h's. A sample has the form of heap_sample.h.
 */
#ifndef CPROF_ATTACH_HEAP_UPROBE_HEAP_UPROBE_H
#define CPROF_ATTACH_HEAP_UPROBE_HEAP_UPROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/heap/alloc/alloc_find.h"
#include "attach/heap/alloc/heap_sample.h"
#include "attach/heap/alloc/heap_sizes.h"
#include "attach/heap/alloc/usdt_find.h"
#include "attach/target/target.h"
#include "cprof/error.h"
#include "cprof/hash.h"
#include "cprof/maps.h"
#include "cprof/module.h"

struct cprof_heap_uprobe;

struct cprof_heap_uprobe_counts {
	uint64_t calls, frees; /* that came past a probe */
	uint64_t lost, lost_bytes, table_full, nested;
	bool gone; /* uprobes of somebody else took the probes along: nothing is counted any more */
	uint64_t left; /* samples whose call did not return; known at the end */
	bool over;     /* the process runs another program: nothing is counted any more */
};

/*
 * Load the program; nothing is attached yet and nothing counted. Calls of `sizes`
 * are counted; `way` is the first of cprof_heap_uprobe_ways to be tried.
 * `maps` must be fresh whenever a function is added. Errors: DENIED (the hint names the capabilities), UNSUPPORTED (the
 * kernel cannot do it).
 */
struct cprof_error *cprof_heap_uprobe_open(struct cprof_target *target, struct cprof_maps *maps,
					   struct cprof_modules *modules, uint64_t period,
					   const struct cprof_heap_sizes *sizes, size_t way,
					   struct cprof_heap_uprobe **ret_uprobe);

/* Ends counting and takes every probe out. NULL is no uprobe. */
void cprof_heap_uprobe_close(struct cprof_heap_uprobe *uprobe);

/*
 * Find where probes for `entry` go, whose samples will bear `number`; cprof_heap_uprobe_attach() puts them there. *ret_slow: an
 * instruction with a probe cannot be emulated by the kernel, which makes each call cost ten times as much. UNSUPPORTED
 * says why this one cannot be watched.
 */
struct cprof_error *cprof_heap_uprobe_add(struct cprof_heap_uprobe *uprobe, uint32_t number,
					  const struct cprof_alloc_entry *entry, bool *ret_slow);

/*
 * The same for a probe that the program has itself; its samples are WEIGHED ones (heap_sample.h). Numbers are apart from those of functions,
 * and below CPROF_HEAP_BPF_SITES.
 */
struct cprof_error *cprof_heap_uprobe_add_site(struct cprof_heap_uprobe *uprobe, uint32_t number,
					       const struct cprof_usdt_site *site);

/* The function that was added with `number` has no probes, because of `err`, which it takes. An error ends the attach. */
typedef struct cprof_error *cprof_heap_uprobe_refuse_fn(void *ctx, uint32_t number,
							struct cprof_error *err);

/*
 * Put probes to all functions that were added since the last time. Errors: those of `refuse`, NO_MEMORY; then none of them is
 * there any more.
 */
struct cprof_error *cprof_heap_uprobe_attach(struct cprof_heap_uprobe *uprobe,
					     cprof_heap_uprobe_refuse_fn *refuse, void *ctx);

/* Was there one added with that number, and neither refused nor removed? */
bool cprof_heap_uprobe_has(const struct cprof_heap_uprobe *uprobe, uint32_t number);

/* Forget it again, if it was added and is not attached yet. */
void cprof_heap_uprobe_remove(struct cprof_heap_uprobe *uprobe, uint32_t number);

/* Return addresses in these ranges are the allocators' own. Up to CPROF_HEAP_BPF_RANGES. */
void cprof_heap_uprobe_ranges(struct cprof_heap_uprobe *uprobe,
			      const struct cprof_shim_range *ranges, size_t n);

/* From now on calls are counted, or no longer. */
void cprof_heap_uprobe_enable(struct cprof_heap_uprobe *uprobe, bool on);

/*
 * Hand the samples that are there to `fn`, oldest first; *ret_samples counts them. Where they never end it returns now
 * and then all the same. Their ids are none that the injected code gives. Errors: those of `fn`.
 */
struct cprof_error *cprof_heap_uprobe_poll(struct cprof_heap_uprobe *uprobe,
					   cprof_heap_sample_fn *fn, void *ctx,
					   size_t *ret_samples);

/* The ids of the sampled blocks that live now, added as keys to `ids`. */
struct cprof_error *cprof_heap_uprobe_live(const struct cprof_heap_uprobe *uprobe,
					   struct cprof_map64 *ids);

/* From now on gaps are drawn with this mean. */
void cprof_heap_uprobe_set_period(struct cprof_heap_uprobe *uprobe, uint64_t period);

/*
 * What has become of the process: call it about once a second. Where the thread has ended that the kernel knows it by,
 * the probes may have gone with it, and are put in anew for one that lives; *ret_renewed says whether that was so. Processes that it
 * has forked are freed of its probes.
 */
struct cprof_error *cprof_heap_uprobe_follow(struct cprof_heap_uprobe *uprobe, bool *ret_renewed);

void cprof_heap_uprobe_counts(const struct cprof_heap_uprobe *uprobe,
			      struct cprof_heap_uprobe_counts *ret_counts);

/* How the probes are attached: "multi" or "perf". */
const char *cprof_heap_uprobe_how(const struct cprof_heap_uprobe *uprobe);

#endif
