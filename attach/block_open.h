/*
 * attach/block_open.h - the waits that are not over when the window ends: a deadlock, an idle pool.
 *
 * No event tells of them. Each thread of the target that sleeps at this moment is looked at once, without
 * stopping it: its registers come from the kernel's task iterator where that is permitted (thread_iter.h), else
 * from /proc, which knows only pc and sp.
 */
#ifndef CPROF_ATTACH_BLOCK_OPEN_H
#define CPROF_ATTACH_BLOCK_OPEN_H

#include "attach/block.h"

/* Take every open wait in scope; its time runs from where `tier` saw it begin, else from the window's start. */
struct cprof_error *cprof_block_open_waits(struct cprof_block *block,
					   const struct cprof_block_tier *tier, void *state);

#endif
