/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/profile/deflate.h - bytes as a gzip file. The way back is inflate.h.
 *
 * Equal bytes give equal files: the header carries no time and no name.
 */
#ifndef CPROF_CONVERT_PROFILE_DEFLATE_H
#define CPROF_CONVERT_PROFILE_DEFLATE_H

#include <stddef.h>
#include <stdint.h>

#include "cprof/buffer.h"
#include "cprof/error.h"

/* Append to `out`. Errors: USAGE (no level from 1 to 9), UNSUPPORTED (more than 2 GiB), NO_MEMORY. */
struct cprof_error *cprof_deflate(const uint8_t *bytes, size_t n, int level,
				  struct cprof_buffer *out);

#endif
