/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/unwind/switch_sites.h - where a process calls C from stacks of its own: in Go programs, plugins and libraries.
 *
 * Owns which mappings are looked through. What such a call looks like is unwind_switch.h's. Does not stop the process.
 */
#ifndef CPROF_SYMBOLIZE_UNWIND_SWITCH_SITES_H
#define CPROF_SYMBOLIZE_UNWIND_SWITCH_SITES_H

#include "cprof/maps.h"
#include "cprof/module.h"
#include "symbolize/unwind/unwind_switch.h"

#define CPROF_SWITCH_SITES_MAX 4 /* one for each copy of Go's run-time library */

struct cprof_switch_sites {
	struct cprof_switch_site all[CPROF_SWITCH_SITES_MAX];
	size_t n;
};

/*
 * Such calls in the code of Go's that is mapped now, at most as many as there is room for. Code that cannot be read has none.
 * Errors: NO_MEMORY.
 */
struct cprof_error *cprof_switch_sites_find(struct cprof_switch_sites *sites,
					    const struct cprof_maps *maps,
					    struct cprof_modules *modules);

#endif
