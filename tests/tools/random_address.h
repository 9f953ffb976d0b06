/* SPDX-License-Identifier: Apache-2.0 */
/* tests/tools/random_address.h - a place in the code of a file, by random(3): programs that compare two readers of it. */
#ifndef CPROF_TESTS_TOOLS_RANDOM_ADDRESS_H
#define CPROF_TESTS_TOOLS_RANDOM_ADDRESS_H

#include <elf.h>
#include <stdlib.h>

#include "cprof/module.h"

/* As in the file; 0: it has no code. */
static inline uint64_t random_address(const struct cprof_module *module)
{
	uint64_t total = 0;
	for (size_t i = 0; i < module->n_segments; i++)
		total += module->segments[i].flags & PF_X ? module->segments[i].file_size : 0;
	uint64_t at = total ? ((uint64_t)random() << 31 | (uint64_t)random()) % total : 0;
	for (size_t i = 0; i < module->n_segments; i++) {
		const struct cprof_segment *segment = &module->segments[i];
		if (!(segment->flags & PF_X))
			continue;
		if (at < segment->file_size)
			return segment->file_addr + at;
		at -= segment->file_size;
	}
	return 0;
}

#endif
