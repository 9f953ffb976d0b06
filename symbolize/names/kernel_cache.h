/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/names/kernel_cache.h - the kernel's own functions of this boot, on disk.
 *
 * /proc/kallsyms takes the kernel 50 ms to print, most of what a short profile costs; where functions of the kernel
 * proper lie does not change until the next boot. Modules and BPF programs come and go: their addresses are not in
 * here, and who asks for one must read the whole table (kernel.h).
 *
 * Source of truth: proc(5) "/proc/sys/kernel/random/boot_id".
 */
#ifndef CPROF_SYMBOLIZE_NAMES_KERNEL_CACHE_H
#define CPROF_SYMBOLIZE_NAMES_KERNEL_CACHE_H

#include "symbolize/names/kernel.h"

/* Tells this boot of this kernel from all others; 0: cannot be told, then nothing is cached. */
uint64_t cprof_kernel_cache_boot(void);

/*
 * What `dir` has for `boot`: true, and `kernel` holds the functions in [start, end). False, and `kernel` is empty, where
 * there is nothing usable.
 */
bool cprof_kernel_cache_load(struct cprof_kernel *kernel, const char *dir, uint64_t boot);

/* The same from a file's bytes, which it takes. */
bool cprof_kernel_cache_parse(struct cprof_kernel *kernel, struct cprof_buffer *bytes,
			      uint64_t boot);

/* Does the directory (NULL: none) have a file of this boot? By its first bytes alone: what is behind them may be broken. */
bool cprof_kernel_cache_is_there(const char *dir);

/* The file's bytes. False: the table has no bounds, or addresses that make no sense. */
bool cprof_kernel_cache_compose(const struct cprof_kernel *kernel, uint64_t boot,
				struct cprof_buffer *out);

/* Best effort: what cannot be written is read from the kernel next time. */
void cprof_kernel_cache_save(const struct cprof_kernel *kernel, const char *dir, uint64_t boot);

#endif
