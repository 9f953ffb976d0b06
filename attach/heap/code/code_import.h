/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/code/code_import.h - symbols of other objects that an object has something added to: places behind where they begin.
 *
 * Source of truth: System V psABI x86-64 "Relocation Types" (R_X86_64_64: symbol + addend).
 */
#ifndef CPROF_ATTACH_HEAP_CODE_CODE_IMPORT_H
#define CPROF_ATTACH_HEAP_CODE_CODE_IMPORT_H

#include <stdint.h>

#include "cprof/error.h"
#include "cprof/module.h"

/* `name` is borrowed for the call. */
typedef void cprof_code_import_fn(void *ctx, const char *name, uint64_t offset);

/*
 * Each that `module` imports with 0 < offset < `limit` added. A file that cannot be read has none. Nanoseconds a relocation.
 * Errors: NO_MEMORY.
 */
struct cprof_error *cprof_code_import_each(const struct cprof_module *module, uint64_t limit,
					   cprof_code_import_fn *fn, void *ctx);

#endif
