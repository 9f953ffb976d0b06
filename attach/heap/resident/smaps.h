/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/resident/smaps.h - /proc/PID/smaps: what is resident of each mapping, and of what kind.
 *
 * Owns the text and its reading. What a mapping is used for is resident.h's. The kernel writes the file in pieces, with the
 * mappings held still during each: a mapping's numbers belong together, those of two need not. Does not stop the target.
 *
 * Source of truth: proc(5) "/proc/pid/smaps"; Linux, Documentation/filesystems/proc.rst.
 */
#ifndef CPROF_ATTACH_HEAP_RESIDENT_SMAPS_H
#define CPROF_ATTACH_HEAP_RESIDENT_SMAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cprof/buffer.h"
#include "cprof/error.h"

struct cprof_smaps_row {
	uint64_t start, end; /* [start, end) */
	uint64_t inode;      /* 0: no file */
	bool read, write, shared;
	const char *name;   /* borrowed from the text; "" for memory without a name */
	uint64_t rss;       /* bytes, as all that follow */
	uint64_t anonymous; /* of rss: no page of a file (any more) */
	uint64_t common;    /* of rss: other processes have these pages as well */
	uint64_t swap;      /* not in rss */
	uint64_t huge;      /* pages of hugetlbfs; not in rss */
};

struct cprof_smaps {
	struct cprof_smaps_row *rows; /* owned; ascending, they do not overlap */
	size_t n, cap;
	struct cprof_buffer text; /* owned */
	uint64_t rss, swap, huge; /* sums over the rows */
};

void cprof_smaps_deinit(struct cprof_smaps *smaps);

/* Read it now, through thread `tid` of the process. Errors: NO_TARGET, DENIED, OS, BAD_DATA, NO_MEMORY. */
struct cprof_error *cprof_smaps_read(pid_t tid, struct cprof_smaps *ret_smaps);

/*
 * The same from text in smaps->text, which is cut into strings. A line that is none, a mapping out of order, or one with
 * more resident than it is long: BAD_DATA. Unknown lines are passed over.
 */
struct cprof_error *cprof_smaps_parse(struct cprof_smaps *smaps);

/* The mapping that holds `addr`, or NULL. */
const struct cprof_smaps_row *cprof_smaps_find(const struct cprof_smaps *smaps, uint64_t addr);

#endif
