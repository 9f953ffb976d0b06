/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/process/mapped_image.h - a file that cannot be opened, as far as a process has it in its memory.
 *
 * Owns putting together an ELF image from the loaded segments: program headers, text, unwind information, and the dynamic symbol
 * table, which gets section headers of its own since the file's are in no segment. What only debuggers use (.symtab, .debug_*) is not
 * there. Who may open the file is better off (mapped_file.h). The process is not stopped; its memory is hostile: all is bounded and checked.
 *
 * Source of truth: ELF gABI "Program Header", "Dynamic Section", "Hash Table"; glibc and lld agree on the layout of DT_GNU_HASH (header of four
 * words, bloom filter, buckets, chains whose last hash is odd).
 */
#ifndef CPROF_SYMBOLIZE_PROCESS_MAPPED_IMAGE_H
#define CPROF_SYMBOLIZE_PROCESS_MAPPED_IMAGE_H

#include "cprof/error.h"
#include "cprof/image.h"
#include "cprof/maps.h"

#define CPROF_MAPPED_IMAGE_MAX (32u << 20) /* bytes of one; a larger one is not made */

/*
 * The image of the file that `map` is of, from maps->memory; at most `most` bytes. Bytes that cannot be read are zero. Takes 1 ms for
 * 4 MB. Errors: UNSUPPORTED (there is no memory to read, or it is too large), BAD_DATA (no ELF file lies there), NO_MEMORY.
 */
struct cprof_error *cprof_mapped_image_read(const struct cprof_maps *maps,
					    const struct cprof_map *map, size_t most,
					    struct cprof_image **ret_image);

#endif
