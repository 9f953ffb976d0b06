/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/inject/heap_reader.h - take samples out of the shim's cells while the target runs, and see what still lives.
 *
 * Owns the consumer's side of shim_proto.h: which cells are ready, giving them back, telling the shim the bounds of
 * stacks it did not know, waking it after it went to sleep. What a sample means is heap_profile.h's. Never stops the
 * target. Everything read is checked before use: it is another process's memory.
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_HEAP_READER_H
#define CPROF_ATTACH_HEAP_INJECT_HEAP_READER_H

#include "attach/heap/alloc/heap_sample.h"
#include "attach/heap/inject/heap_pages.h"
#include "cprof/hash.h"

struct cprof_heap_reader {
	struct cprof_heap_pages *pages; /* borrowed; NULL: nothing was injected */
	struct cprof_shim_cell *cells;  /* owned; CPROF_SHIM_CELLS of them */
	uint8_t *stacks;                /* owned; copies of some, for one round */
	uint8_t **
		kept; /* owned, and each of them; the stacks of cells that are to be handed over later; or NULL */
	uint64_t handed; /* samples handed over so far */
	bool over;       /* the target's data is gone: it ended, or runs another program */

	struct cprof_shim_control control; /* as read last */
	uint64_t odd; /* times that something in it could not be true: somebody else writes there */
	uint64_t slept;       /* how often the shim had gone to sleep and was woken */
	uint64_t slept_bytes; /* of blocks that went by meanwhile, at most: see heap_report.c */
	bool tallied;         /* those of the present sleep, at the end */
};

struct cprof_error *cprof_heap_reader_init(struct cprof_heap_reader *reader,
					   struct cprof_heap_pages *pages);
void cprof_heap_reader_deinit(struct cprof_heap_reader *reader);

/*
 * Hand every sample that is ready to `fn`, oldest first, and give its cell back. *ret_samples counts them. A target that
 * is gone sets reader->over and is no error. Errors: those of `fn`.
 */
struct cprof_error *cprof_heap_reader_poll(struct cprof_heap_reader *reader,
					   cprof_heap_sample_fn *fn, void *ctx,
					   size_t *ret_samples);

/*
 * Copy every sample that is ready, for cprof_heap_reader_kept(): what must be quick, because the target stands still. The
 * cells stay taken. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_heap_reader_keep(struct cprof_heap_reader *reader);

/* Hand what was kept to `fn`, oldest first. Needs no target. Errors: those of `fn`. */
struct cprof_error *cprof_heap_reader_kept(struct cprof_heap_reader *reader,
					   cprof_heap_sample_fn *fn, void *ctx);

/* The ids of the sampled blocks that live now, as keys of `ret_ids` (initialized empty by the caller). */
struct cprof_error *cprof_heap_reader_live(struct cprof_heap_reader *reader,
					   struct cprof_map64 *ret_ids);

/* From now on gaps are drawn with this mean. */
void cprof_heap_reader_set_period(struct cprof_heap_reader *reader, uint64_t period);

#endif
