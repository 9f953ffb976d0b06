/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/code/code_near.h - branches with a distance of one byte: those that lead to a place stand within 130 bytes of it.
 *
 * One byte says too little to be believed wherever it stands, so that instructions are decoded here, one behind the other from
 * the beginning of the function around. Where that fails, every byte may begin one.
 */
#ifndef CPROF_ATTACH_HEAP_CODE_CODE_NEAR_H
#define CPROF_ATTACH_HEAP_CODE_CODE_NEAR_H

#include "attach/heap/code/code_object.h"

/* `from` is the address of the distance. An error ends the search and is passed on. */
typedef struct cprof_error *cprof_code_near_fn(void *ctx, uint64_t from, uint64_t to);

/* Each branch with one byte of distance to [start, end): jmp, jcc, loop, jrcxz. Errors: those of `fn`. */
struct cprof_error *cprof_code_near_each(struct cprof_code_object *object, uint64_t start,
					 uint64_t end, cprof_code_near_fn *fn, void *ctx);

#endif
