/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cprof/pprof_read.h - pprof bytes, gzip or plain, to a profile; everything foreign is checked here.
 *
 * The wire format is decoded by wire.h and not by protobuf-c's unpacker: that one allocates each message on
 * its own (half a million samples of 30 frames: 15 million 64-bit ids and a gigabyte of heap), gives no
 * byte offset for what it refuses, and accepts wire types that pprof does not. protobuf-c still supplies
 * the field names of messages, and is the oracle in the tests.
 *
 * Rules beyond the wire format (google/pprof's reader makes the same): string 0 is "", indices are in
 * range, ids of mappings, functions and locations are unique and not 0, each sample has one value per type
 * and known locations, each line a known function; time_nanos stands once.
 */
#ifndef CPROF_PPROF_READ_H
#define CPROF_PPROF_READ_H

#include "cprof/error.h"
#include "cprof/profile.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A profile from a whole file. Errors: CPROF_ERR_BAD_DATA with the byte offset (in the uncompressed
 * stream) and the reason; CPROF_ERR_UNSUPPORTED for a stream beyond the limits of cprof_inflate().
 */
struct cprof_error *cprof_pprof_decode(const uint8_t *bytes, size_t n,
				       struct cprof_profile **ret_profile);

#ifdef __cplusplus
}
#endif

#endif
