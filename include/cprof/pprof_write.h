/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cprof/pprof_write.h - a profile as pprof bytes.
 *
 * Byte for byte what the Go library writes for the same profile: fields ascending, zero scalars left
 * out, repeated numbers packed only from the third on, and the string table in the order in which the
 * fields mention its entries. protobuf-c's packer always packs and wants one heap object per message
 * (half a million of them for a large profile), so the bytes are written here; the tests read them
 * back with protobuf-c.
 *
 * Equal profiles give equal bytes: the gzip header carries no time and no name.
 */
#ifndef CPROF_PPROF_WRITE_H
#define CPROF_PPROF_WRITE_H

#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/profile.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The level that Go's runtime uses: a third of level 9's time for a tenth more bytes. */
#define CPROF_PPROF_GZIP_FAST 1

/* Append to `out`. `gzip_level` 1..9, or 0 for a plain protobuf. */
struct cprof_error *cprof_pprof_encode(const struct cprof_profile *profile, int gzip_level,
				       struct cprof_buffer *out);

#ifdef __cplusplus
}
#endif

#endif
