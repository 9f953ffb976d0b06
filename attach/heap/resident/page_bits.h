/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/resident/page_bits.h - which pages of a process are resident: /proc/PID/pagemap.
 *
 * For parts of a mapping; of a whole one smaps knows. Whoever may trace the process may read it; the page frame numbers in
 * it, which only root sees, are not looked at. The shared page of zeros that a first read of untouched memory shows is not resident, as
 * in smaps. Does not stop the target.
 *
 * Source of truth: Linux, Documentation/admin-guide/mm/pagemap.rst.
 */
#ifndef CPROF_ATTACH_HEAP_RESIDENT_PAGE_BITS_H
#define CPROF_ATTACH_HEAP_RESIDENT_PAGE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cprof/error.h"

#define CPROF_PAGE_BITS_WINDOW 8192 /* entries that are read at once: 32 MiB of the process */

struct cprof_page_bits {
	int fd; /* owned */
	uint64_t page_bytes;
	uint64_t left;    /* entries that may still be read */
	uint64_t first;   /* number of the page of window[0] */
	size_t n;         /* entries in the window */
	uint64_t *window; /* owned */
};

/* Through thread `tid` of the process. Errors: NO_TARGET, DENIED, OS, NO_MEMORY. */
struct cprof_error *cprof_page_bits_open(pid_t tid, struct cprof_page_bits *ret_bits);
void cprof_page_bits_close(struct cprof_page_bits *bits);

/*
 * Resident bytes of [start, end). `common`: pages that other processes have as well count too, and then the page of zeros cannot be told from them.
 * False: it cannot be read any more, or more was asked than the 256 GiB that all questions together may be about.
 */
bool cprof_page_bits_resident(struct cprof_page_bits *bits, uint64_t start, uint64_t end,
			      bool common, uint64_t *ret_bytes);

/* The rule for one entry. */
bool cprof_page_bits_counts(uint64_t entry, bool common);

#endif
