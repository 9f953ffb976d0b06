/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/baseline_symbols.h - where a process's variables are: the data symbols of its modules.
 *
 * Asks the module's own tables (.symtab, .dynsym), .gnu_debugdata, and its separate debug file.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_BASELINE_SYMBOLS_H
#define CPROF_ATTACH_HEAP_BASELINE_BASELINE_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"
#include "cprof/maps.h"
#include "cprof/module.h"

/* A data symbol at its run-time address. `name` is borrowed for the call. An error ends the search and is passed on. */
typedef struct cprof_error *cprof_baseline_symbol_fn(void *ctx, const char *name, uint64_t addr,
						     uint64_t size);

/*
 * Each data symbol (STT_OBJECT, STT_NOTYPE) of `module`, which the mapping `map` is of; a name may come several times.
 * What is broken in its files is left out. Thread-local ones are not among them. Errors: NO_MEMORY, and `fn`'s.
 */
struct cprof_error *cprof_baseline_each_symbol(struct cprof_module *module,
					       const struct cprof_map *map,
					       cprof_baseline_symbol_fn *fn, void *ctx);

/*
 * The first of `names` (n of them) that any file of the process has as a data symbol: its address and size, and the mapping
 * of its module that it was found by. *ret_addr 0: none has. Errors: NO_MEMORY.
 */
struct cprof_baseline_symbol {
	uint64_t addr, size;
	size_t name;           /* index in `names` */
	struct cprof_map *map; /* borrowed */
};
struct cprof_error *cprof_baseline_find_symbol(struct cprof_maps *maps,
					       struct cprof_modules *modules,
					       const char *const *names, size_t n,
					       struct cprof_baseline_symbol *ret_symbol);

#endif
