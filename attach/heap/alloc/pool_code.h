/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/alloc/pool_code.h - the first instructions of a pool's stub: which argument is the block, which is the size.
 *
 * Pure. The stubs of attach/heap/shim/entry.S begin with room for them.
 *
 * Source of truth: System V psABI "Parameter Passing" (rdi, rsi, rdx, rcx, r8, r9); Intel SDM Vol. 2 "MOV", "IMUL".
 */
#ifndef CPROF_ATTACH_HEAP_ALLOC_POOL_CODE_H
#define CPROF_ATTACH_HEAP_ALLOC_POOL_CODE_H

#include <stdint.h>

#include "attach/heap/shim/shim_proto.h"

#define CPROF_POOL_CODE_BYTES (CPROF_SHIM_POOL_OLD_BYTES + CPROF_SHIM_POOL_SIZE_BYTES)

/*
 * rax = the old block (left alone where there is none), r10 = the size, with the overflow flag set if it is more than
 * 64 bits hold. A function that only frees has room for, and gets, the first part.
 */
void cprof_pool_code_make(const struct cprof_shim_pool *pool, uint8_t code[CPROF_POOL_CODE_BYTES]);

#endif
