/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/elf/unpack.h - the content of a file, or a section, that was packed whole: xz, zstd or gzip.
 *
 * Told apart by how they begin. What is packed in a section of debug information (zlib) is elf_file.h's.
 */
#ifndef CPROF_SYMBOLIZE_ELF_UNPACK_H
#define CPROF_SYMBOLIZE_ELF_UNPACK_H

#include "cprof/budget.h"
#include "cprof/buffer.h"

/*
 * What the `n` bytes at `packed` hold, at most `most`, into `out`, which is empty; `account` (may be NULL) pays for it as memory. False: they are none of these or broken,
 * hold more, or cost more than the account has; then `out` may hold a part.
 */
bool cprof_unpack(const uint8_t *packed, size_t n, size_t most, struct cprof_account *account,
		  struct cprof_buffer *out);

#endif
