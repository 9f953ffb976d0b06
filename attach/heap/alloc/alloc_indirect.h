/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/alloc/alloc_indirect.h - which function an indirect one (STT_GNU_IFUNC) has become in a running process.
 *
 * The symbol of such a function leads to its resolver, which the dynamic linker calls once, at start or at the first call; whoever
 * calls the function goes through a word that the linker has filled with the answer. Those words are read; the resolver is
 * never called. Does not stop the target.
 *
 * Sources: System V psABI x86-64 "Relocation Types" (R_X86_64_IRELATIVE, JUMP_SLOT, GLOB_DAT); ELF gABI "Symbol Table".
 */
#ifndef CPROF_ATTACH_HEAP_ALLOC_ALLOC_INDIRECT_H
#define CPROF_ATTACH_HEAP_ALLOC_ALLOC_INDIRECT_H

#include <stdint.h>

#include "cprof/error.h"
#include "cprof/maps.h"
#include "cprof/module.h"

struct cprof_alloc_indirect {
	uint64_t addr, end;    /* run-time: [addr, end) is the function; 0: not known */
	struct cprof_map *map; /* borrowed; where it lies, which may be another object */
	const char *why_not;   /* static; where addr is 0 */
};

/*
 * What the function `name`, whose resolver is at run-time `resolver` in `map`, has become. Reads the relocations of its object, and
 * of all others if that one does not call it. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_alloc_indirect_find(struct cprof_maps *maps,
					      struct cprof_modules *modules, struct cprof_map *map,
					      const char *name, uint64_t resolver,
					      struct cprof_alloc_indirect *ret_indirect);

/*
 * In a program that is not position-independent a symbol of an indirect function leads to an entry of its PLT: if that is what
 * lies at run-time `addr`, *ret_resolver is where its resolver is; else 0. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_alloc_indirect_resolver(struct cprof_maps *maps,
						  struct cprof_modules *modules,
						  struct cprof_map *map, uint64_t addr,
						  uint64_t *ret_resolver);

#endif
