/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/module_addresses.h - the distinct addresses of a stack table, module by module.
 *
 * For whoever looks many of them up: large debug information is read once, in order, where all that will be asked is known before.
 */
#ifndef CPROF_ATTACH_RUN_MODULE_ADDRESSES_H
#define CPROF_ATTACH_RUN_MODULE_ADDRESSES_H

#include "attach/run/mapping_numbers.h"

/* `file_addrs` are sorted, each is there once. An error ends the walk. */
typedef struct cprof_error *cprof_module_addresses_fn(void *ctx, struct cprof_module *module,
						      const uint64_t *file_addrs, size_t n);

/* Frames [from, until) of the table; those in no module with a file are left out. Errors: NO_MEMORY, and those of `fn`. */
struct cprof_error *cprof_module_addresses(const struct cprof_mapping_numbers *numbers,
					   uint32_t from, uint32_t until,
					   cprof_module_addresses_fn *fn, void *ctx);

#endif
