/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/inject/heap_blob.h - the code that is injected, as it was built: its bytes, and where its stubs are.
 *
 * It is attach/heap/shim/ in one flat file that our own read-only data carries (attach/heap/shim/shim_blob.S). How its
 * end is to be read is said in attach/heap/shim/shim.ld.
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_HEAP_BLOB_H
#define CPROF_ATTACH_HEAP_INJECT_HEAP_BLOB_H

#include <stdint.h>

#include "attach/heap/shim/shim_proto.h"

/* Bytes of a code mapping: the blob, in whole pages. */
uint64_t cprof_heap_blob_image_bytes(void);

/* A copy of so many bytes, its head all zeros, to be filled in and given to free(); NULL: there is no memory. */
struct cprof_shim_image *cprof_heap_blob_copy(void);

/* The stubs, `*ret_n` of them, by the number that a sample's cell names. */
const struct cprof_shim_stub *cprof_heap_blob_stubs(uint32_t *ret_n);

/* From now on the stub with that number, in a copy, looks only at calls of the sizes that the copy's head names. */
void cprof_heap_blob_sieve(struct cprof_shim_image *copy, uint32_t stub);

/* From CPROF_SHIM_IMAGE_BYTES to here there are the stubs and the way in and out of the slow path; */
uint32_t cprof_heap_blob_entry_end(void);

/* and to here its C code, in which everybody is counted (control.inside); nothing else. */
uint32_t cprof_heap_blob_code_end(void);

#endif
