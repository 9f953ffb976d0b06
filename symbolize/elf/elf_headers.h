/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/elf/elf_headers.h - the file header and the program headers of a 64-bit little-endian ELF image.
 *
 * All that is needed of an image that was only mapped, as in a core file; sections are elf_file.h's. Every access is checked against the image.
 *
 * Source of truth: ELF gABI "ELF Header", "Program Header".
 */
#ifndef CPROF_SYMBOLIZE_ELF_ELF_HEADERS_H
#define CPROF_SYMBOLIZE_ELF_ELF_HEADERS_H

#include <elf.h>

#include "cprof/error.h"
#include "cprof/image.h"

struct cprof_elf_headers {
	struct cprof_image *image; /* borrowed */
	Elf64_Ehdr file;
	size_t n_segments; /* program headers, all within the image */
};

/* The file header alone; `n_segments` stays 0. Errors: BAD_DATA (no ELF file), UNSUPPORTED (32 bit, big-endian). */
struct cprof_error *cprof_elf_headers_begin(struct cprof_image *image,
					    struct cprof_elf_headers *ret_headers);

/* With the program headers. Errors: likewise, and BAD_DATA where these are broken or more than 4,096. */
struct cprof_error *cprof_elf_headers_read(struct cprof_image *image,
					   struct cprof_elf_headers *ret_headers);

/* Program header `i`, below n_segments. */
Elf64_Phdr cprof_elf_headers_segment(const struct cprof_elf_headers *headers, size_t i);

/* The GNU build-id in the segments of notes, and its length; 0: none. Room for CPROF_BUILD_ID_MAX bytes in `build_id`. */
uint8_t cprof_elf_headers_build_id(const struct cprof_elf_headers *headers, uint8_t *build_id);

/* The same in the notes at [offset, offset + size) of an image. */
uint8_t cprof_elf_headers_build_id_in(struct cprof_image *image, uint64_t offset, uint64_t size,
				      uint8_t *build_id);

#endif
