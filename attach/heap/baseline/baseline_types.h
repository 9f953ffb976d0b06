/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/baseline_types.h - which C++ class an object is of, by its first word: the address of its virtual
 * table, which has a symbol.
 *
 * A module's symbols are read when the first word that points into its data is asked for. Objects without virtual
 * functions cannot be told, nor can those of a module without symbols.
 *
 * Source of truth: Itanium C++ ABI "Virtual Table Layout", "Virtual Tables and RTTI" (_ZTV).
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_BASELINE_TYPES_H
#define CPROF_ATTACH_HEAP_BASELINE_BASELINE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/demangle.h"
#include "cprof/error.h"
#include "cprof/maps.h"
#include "cprof/module.h"

#define CPROF_BASELINE_NEAR 8

struct cprof_baseline_type {
	uint64_t start,
		end; /* of words that mean it: behind the two that every virtual table begins with */
	char *name;  /* owned: "Session", demangled */
};

struct cprof_baseline_types {
	struct cprof_maps *maps; /* borrowed, as the modules */
	struct cprof_modules *modules;
	enum cprof_demangle form;
	struct cprof_baseline_type *all; /* owned; by start, once sorted */
	size_t n, cap;
	struct {
		uint64_t start, bytes;
	} near[CPROF_BASELINE_NEAR]; /* where mappings of files are; what is outside is no table */
	unsigned n_near;
	uint64_t *read_ids; /* owned; modules whose symbols were read: a bit each */
	size_t n_read_ids;
	struct cprof_map *last; /* borrowed; the mapping found last */
};

void cprof_baseline_types_init(struct cprof_baseline_types *types, struct cprof_maps *maps,
			       struct cprof_modules *modules, enum cprof_demangle form);
void cprof_baseline_types_deinit(struct cprof_baseline_types *types);

/*
 * The class that an object with this first word is of; *ret_name is NULL where it is none that is known, and borrowed until
 * the deinit. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_baseline_types_find(struct cprof_baseline_types *types, uint64_t word,
					      const char **ret_name);

/* Cheap: can it be a class's word at all? */
static inline bool cprof_baseline_types_may(const struct cprof_baseline_types *types, uint64_t word)
{
	if (word & 7)
		return false;
	for (unsigned i = 0; i < types->n_near; i++) {
		if (word - types->near[i].start < types->near[i].bytes)
			return true;
	}
	return false;
}

#endif
