/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/names/kernel.h - the kernel's and its modules' functions, from /proc/kallsyms.
 *
 * Source of truth: proc(5) "/proc/kallsyms"; Documentation/admin-guide/sysctl/kernel.rst "kptr_restrict".
 */
#ifndef CPROF_SYMBOLIZE_NAMES_KERNEL_H
#define CPROF_SYMBOLIZE_NAMES_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/piece_file.h"
#include "base/prefetch.h"
#include "cprof/buffer.h"
#include "cprof/error.h"

struct cprof_kernel_symbol {
	uint64_t addr;
	const char *name;
	const char *module; /* "nf_tables"; "" for the kernel proper */
};

/* As it lies in a file: 100,000 of them take no time to read. */
struct cprof_kernel_packed {
	uint32_t offset; /* from the kernel's start */
	uint32_t name;   /* where it begins in their text */
};

struct cprof_kernel {
	struct cprof_buffer text;        /* owned; names point into it */
	struct cprof_kernel_symbol *all; /* owned; by address; NULL: packed, in `file` */
	struct cprof_piece_file
		*file; /* owned, as it came from the disk: nothing in it is believed */
	uint64_t packed_at, names_at; /* where in it the packed ones begin, and their text */
	uint32_t names_size;
	size_t n;
	uint64_t start, end; /* of the kernel's own text; 0, 0 where not told */
	bool restricted;     /* all addresses read as 0 */
};

/*
 * `text`: what cprof_kernel_text() gives, if somebody has got it already; NULL, or not made: it is read now. Errors: OS,
 * DENIED (no kallsyms here), NO_MEMORY. A restricted table is no error: `restricted`.
 */
struct cprof_error *cprof_kernel_read(struct cprof_kernel *kernel,
				      const struct cprof_prefetch_piece *text);

/* The text of /proc/kallsyms into `room`; its length, 0: it cannot be had, or does not fit. Allocates nothing. */
size_t cprof_kernel_text(uint8_t *room, size_t cap);
#define CPROF_KERNEL_TEXT_MAX (64u << 20)

/* The same from text; takes `text`. Malformed lines are left out. Errors: NO_MEMORY. */
struct cprof_error *cprof_kernel_parse(struct cprof_kernel *kernel, struct cprof_buffer *text);

void cprof_kernel_deinit(struct cprof_kernel *kernel);

/* The function that holds `addr`; false: there is none, or what is kept of it is broken (piece_file.h). Its texts are borrowed from `kernel`. */
bool cprof_kernel_find(const struct cprof_kernel *kernel, uint64_t addr,
		       struct cprof_kernel_symbol *ret_symbol);

#endif
