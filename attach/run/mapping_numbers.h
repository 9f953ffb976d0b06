/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/mapping_numbers.h - the mappings of a profile by number, and which process's mapping each stands for.
 *
 * A mapping gets its number, and its module is opened, when the first address in it is seen: modules must be opened while
 * the process lives. The kernel is one mapping more.
 */
#ifndef CPROF_ATTACH_RUN_MAPPING_NUMBERS_H
#define CPROF_ATTACH_RUN_MAPPING_NUMBERS_H

#include "attach/run/process.h"
#include "cprof/builder.h"
#include "cprof/error.h"
#include "cprof/maps.h"
#include "cprof/module.h"

/* Both x86-64 and AArch64 keep the kernel in the upper half. */
#define CPROF_KERNEL_START 0xffff800000000000ull

struct cprof_mapping_numbers {
	struct cprof_builder *builder; /* borrowed */
	struct cprof_modules *modules; /* borrowed */
	struct cprof_mapping_source {
		struct cprof_maps *maps; /* borrowed; NULL: the kernel */
		struct cprof_map *map;
	} * sources; /* owned; [number - 1] */
	uint32_t n, cap;
	uint32_t kernel; /* the kernel's number; 0 until an address in it was seen */
};

/* `builder` and `modules` are borrowed. */
void cprof_mapping_numbers_init(struct cprof_mapping_numbers *numbers,
				struct cprof_builder *builder, struct cprof_modules *modules);
void cprof_mapping_numbers_deinit(struct cprof_mapping_numbers *numbers);

/* The number of `map`, one of process->maps. Errors: NO_MEMORY. Does not stop the target. */
struct cprof_error *cprof_mapping_numbers_get(struct cprof_mapping_numbers *numbers,
					      struct cprof_process *process, struct cprof_map *map,
					      uint32_t *ret_number);

/* The same by the mappings of a process that has a number already: those of some source. */
struct cprof_error *cprof_mapping_numbers_of_maps(struct cprof_mapping_numbers *numbers,
						  struct cprof_maps *maps, struct cprof_map *map,
						  uint32_t *ret_number);

/* The kernel's half of the addresses; whoever names it narrows the range to what kallsyms says. */
struct cprof_error *cprof_mapping_numbers_kernel(struct cprof_mapping_numbers *numbers,
						 uint32_t *ret_number);

/* What number `number` stands for; NULL for 0 and for numbers that were not given out. */
const struct cprof_mapping_source *
cprof_mapping_numbers_source(const struct cprof_mapping_numbers *numbers, uint32_t number);

#endif
