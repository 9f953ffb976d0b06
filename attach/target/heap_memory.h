/*
 * attach/target/heap_memory.h - the target's memory, several places in one system call, while it runs or stands.
 *
 * The heap profile reads and gives back thousands of cells a second: what counts is the number of system calls. Never
 * stops the target.
 */
#ifndef CPROF_ATTACH_TARGET_HEAP_MEMORY_H
#define CPROF_ATTACH_TARGET_HEAP_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/target/target.h"

#define CPROF_HEAP_SPANS 64 /* at once */

struct cprof_heap_span {
	uint64_t addr; /* in the target */
	void *buf;     /* ours, borrowed */
	size_t n;
};

/*
 * All bytes of all spans (at most CPROF_HEAP_SPANS of them); false, errno set, if the target or one of the mappings is
 * gone: then any part of it may have been done.
 */
bool cprof_heap_memory_read(const struct cprof_target *target, const struct cprof_heap_span *spans,
			    size_t n_spans);
bool cprof_heap_memory_write(const struct cprof_target *target, const struct cprof_heap_span *spans,
			     size_t n_spans);

#endif
