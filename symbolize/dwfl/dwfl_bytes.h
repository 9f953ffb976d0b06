/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/dwfl/dwfl_bytes.h - a file's bytes in a form that libelf may read and change: a private copy that cannot shrink under it.
 *
 * libelf maps the files that it opens, and whoever shortens one then ends its reader by SIGBUS; it also writes into what it has mapped. So
 * it is never given a file of others, only copies that are made of an image (cprof/image.h): of its headers and of what libdw
 * reads, not of program text and data. Copies are charged to the file's account as memory.
 */
#ifndef CPROF_SYMBOLIZE_DWFL_DWFL_BYTES_H
#define CPROF_SYMBOLIZE_DWFL_DWFL_BYTES_H

#include "cprof/error.h"
#include "cprof/image.h"

struct cprof_dwfl_bytes {
	uint8_t *map; /* owned; zero where nothing was copied; NULL: none */
	size_t size;
};

/* Errors: BAD_DATA (cannot be read, the budget), NO_MEMORY. */
struct cprof_error *cprof_dwfl_bytes_copy(struct cprof_image *image,
					  struct cprof_dwfl_bytes *ret_bytes);
void cprof_dwfl_bytes_free(struct cprof_dwfl_bytes *bytes);

/* The whole of an image as a sealed file in memory, for what wants a descriptor; the caller's. Errors: OS, BAD_DATA. */
struct cprof_error *cprof_dwfl_bytes_sealed(struct cprof_image *image, int *ret_fd);

#endif
