/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/profile/inflate.h - what a gzip file holds, guarded against files that hold too much.
 */
#ifndef CPROF_CONVERT_PROFILE_INFLATE_H
#define CPROF_CONVERT_PROFILE_INFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/buffer.h"
#include "cprof/error.h"

static inline bool cprof_inflate_is_gzip(const uint8_t *bytes, size_t n)
{
	return n >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
}

/*
 * Decompress a gzip file (several members too), appending to `out`. At most 4 GiB, and beyond 64 MiB at most 250 times the
 * compressed size; real profiles stay below 60. Errors: CPROF_ERR_UNSUPPORTED beyond that, CPROF_ERR_BAD_DATA.
 */
struct cprof_error *cprof_inflate(const uint8_t *bytes, size_t n, struct cprof_buffer *out);

#endif
