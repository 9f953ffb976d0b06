/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/piece_file.h - a file of ours of which a run looks at little: pieces are read, and proved, where they are asked for.
 *
 * Whoever writes one seals it: behind the content come a sum of each piece and a sum of those. A file that was changed by accident (a disk, a crash
 * while it was written) is found out, a forged one is not: whose file it is has to be made sure of before (cache_dir.h).
 */
#ifndef CPROF_BASE_PIECE_FILE_H
#define CPROF_BASE_PIECE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/buffer.h"

#define CPROF_PIECE_FILE_PIECE ((size_t)16 << 10)

struct cprof_piece_file;

/* Put the sums behind the content. Where memory is short bytes->failed says so. */
void cprof_piece_file_seal(struct cprof_buffer *bytes);

/* Takes `fd`, also where it fails. NULL: it is no such file, or cannot be read, or there is no memory. Reads the sums. */
struct cprof_piece_file *cprof_piece_file_open(int fd);

/* The same of bytes in memory; takes them, also where it fails. */
struct cprof_piece_file *cprof_piece_file_of(struct cprof_buffer *bytes);

void cprof_piece_file_free(struct cprof_piece_file *file);

/* Bytes of content. */
size_t cprof_piece_file_len(const struct cprof_piece_file *file);

/*
 * `n` bytes of content from `offset` on; 8-byte aligned if `offset` is. Borrowed until the file is freed. NULL: there are not so many, or they
 * cannot be read, or are not what was sealed; then cprof_piece_file_is_broken() tells it from now on.
 */
const void *cprof_piece_file_at(struct cprof_piece_file *file, uint64_t offset, size_t n);

/* The text from `offset` to its zero byte. Borrowed; NULL as above, and where there is no zero byte. */
const char *cprof_piece_file_text(struct cprof_piece_file *file, uint64_t offset);

/* Was a piece not what it should be? */
bool cprof_piece_file_is_broken(const struct cprof_piece_file *file);

#endif
