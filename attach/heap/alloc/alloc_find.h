/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/alloc/alloc_find.h - where a process's allocators begin: entry points per object, each address once.
 *
 * Reads symbol tables (.dynsym, .symtab, .gnu_debugdata) of every mapped object and the target's code bytes.
 * What a name means is alloc_family.h's, whether an entry can be patched patch.h's. Does not stop the target.
 */
#ifndef CPROF_ATTACH_HEAP_ALLOC_ALLOC_FIND_H
#define CPROF_ATTACH_HEAP_ALLOC_ALLOC_FIND_H

#include "attach/heap/alloc/alloc_family.h"
#include "cprof/error.h"
#include "cprof/maps.h"
#include "cprof/module.h"

struct cprof_alloc_entry {
	char name[80];
	uint64_t addr, end; /* run-time: [addr, end) is the function */
	uint8_t kind;       /* CPROF_SHIM_* */
	uint8_t group;
	uint64_t sister; /* run-time address of the one that does not throw; 0: not needed */
	bool throws;
	bool known;                  /* its object has an allocator of a known family */
	bool custom;                 /* the user's own: */
	struct cprof_shim_pool pool; /* what its arguments mean */
	struct cprof_map *map;       /* borrowed: the executable mapping it lies in */
	bool indirect;               /* `addr` is that of its resolver; then */
	const char *why_not;         /* why it cannot be told what it became; static */
};

struct cprof_alloc_entries {
	struct cprof_alloc_entry *all; /* owned; by address, each address once */
	size_t n, cap;
	struct cprof_shim_range ranges[CPROF_SHIM_MAX_RANGES]; /* allocators' own code */
	size_t n_ranges;
	struct cprof_map **objects; /* owned; executable mappings looked at, for finding new ones */
	size_t n_objects, cap_objects;
};

/*
 * An indirect function (IFUNC) is followed to what it has become, in entry->addr, end and map; where that cannot be told it
 * stays indirect, and why_not says why. Others are as they are. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_alloc_entry_follow(struct cprof_alloc_entry *entry,
					     struct cprof_maps *maps,
					     struct cprof_modules *modules);

/* Is what `map` has at run-time `addr` the resolver of an indirect function, by its symbols? Errors: NO_MEMORY. */
struct cprof_error *cprof_alloc_is_indirect(const struct cprof_maps *maps,
					    struct cprof_modules *modules, struct cprof_map *map,
					    uint64_t addr, bool *ret_indirect);

void cprof_alloc_entries_deinit(struct cprof_alloc_entries *entries);

/*
 * Add the entry points of every executable file mapping not looked at yet. Finding none is no error. Errors:
 * NO_MEMORY.
 */
struct cprof_error *cprof_alloc_find(struct cprof_alloc_entries *entries, struct cprof_maps *maps,
				     struct cprof_modules *modules);

/* Is `addr` inside of one of them, or of an allocator's own code? */
bool cprof_alloc_entries_hold(const struct cprof_alloc_entries *entries, uint64_t addr);

/*
 * A symbol of a function in some object's tables (the object's own, .gnu_debugdata, its separate debug file), run-time
 * addresses. `name` is borrowed for the call. An error ends the search and is passed on.
 */
typedef struct cprof_error *cprof_alloc_symbol_fn(void *ctx, struct cprof_map *map,
						  const char *name, uint64_t addr, uint64_t end);

/* Each of them in every executable file mapping; aliases and what is in several tables come several times. */
struct cprof_error *cprof_alloc_each_symbol(struct cprof_maps *maps, struct cprof_modules *modules,
					    cprof_alloc_symbol_fn *fn, void *ctx);

/*
 * Add one of the user's (-heap-hook): it takes the place of a known one at its address, and calls from inside of it are
 * the allocator's own. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_alloc_entries_add_custom(struct cprof_alloc_entries *entries,
						   const struct cprof_alloc_entry *entry);

#endif
