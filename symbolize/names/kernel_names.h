/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/names/kernel_names.h - where the kernel's names come from: its debug information, the cache of this boot, else /proc/kallsyms.
 *
 * Owns the order in which they are asked, when the table is read, and what is told of one that cannot be had.
 */
#ifndef CPROF_SYMBOLIZE_NAMES_KERNEL_NAMES_H
#define CPROF_SYMBOLIZE_NAMES_KERNEL_NAMES_H

#include "symbolize/names/kernel.h"
#include "symbolize/names/kernel_debug.h"

/* A zeroed struct, with the first three members set or not, is ready for use. */
struct cprof_kernel_names {
	const char *cache_dir; /* borrowed; NULL: no cache on disk */
	const struct cprof_prefetch_piece
		*text; /* borrowed; of cprof_kernel_read(), for when it is needed */
	struct cprof_kernel_debug debug; /* with its first members set, or not */

	/* Private. */
	struct cprof_kernel kernel;
	bool tried; /* the cache was asked */
	bool read;  /* `kernel` is the whole table, or cannot be had */
};

void cprof_kernel_names_deinit(struct cprof_kernel_names *names);

/*
 * The function that holds `addr`, without a name if none is known. Its texts are borrowed until the next call. Why there are no names is appended to `notes`,
 * once. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_kernel_names_find(struct cprof_kernel_names *names, uint64_t addr,
					    struct cprof_buffer *notes,
					    struct cprof_kernel_symbol *ret_symbol);

/*
 * Where `addr` is in a file with debug information, the kernel's or a kernel module's: *ret_module NULL where there is none, or it is code made at run
 * time. `notes` as above. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_kernel_names_place(struct cprof_kernel_names *names, uint64_t addr,
					     struct cprof_buffer *notes,
					     struct cprof_module **ret_module,
					     uint64_t *ret_file_addr);

/* The kernel's text [start, end), if the cache tells or kallsyms was read; false where they do not. `notes` as above. */
bool cprof_kernel_names_range(struct cprof_kernel_names *names, struct cprof_buffer *notes,
			      uint64_t *ret_start, uint64_t *ret_end);

#endif
