/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/code/code_landing.h - where exceptions are caught: the landing pads of an object.
 *
 * No instruction leads there; the unwinder does. Owns the reading of the tables that .eh_frame names
 * (.gcc_except_table). All bytes are untrusted.
 *
 * Sources: LSB Core "Exception Frames"; Itanium C++ ABI "Exception Handling Tables".
 */
#ifndef CPROF_ATTACH_HEAP_CODE_CODE_LANDING_H
#define CPROF_ATTACH_HEAP_CODE_CODE_LANDING_H

#include "attach/heap/code/code_object.h"

/* A landing pad at `to`, for the function at `from`. An error ends the search and is passed on. */
typedef struct cprof_error *cprof_code_landing_fn(void *ctx, uint64_t from, uint64_t to);

/* Each of the object's. Broken tables end early. Errors: those of `fn`. */
struct cprof_error *cprof_code_landing_each(struct cprof_code_object *object,
					    cprof_code_landing_fn *fn, void *ctx);

#endif
