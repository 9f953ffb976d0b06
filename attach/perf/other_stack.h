/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/perf/other_stack.h - the stack from which a thread came to the one that was sampled, as a BPF program has copied it.
 *
 * Owns the program's settings and the part of its events that other_stack_event.h describes. What code goes to another stack is
 * symbolize/unwind/switch_sites.h's; what a walk does with the copy is stack_walker.h's.
 */
#ifndef CPROF_ATTACH_PERF_OTHER_STACK_H
#define CPROF_ATTACH_PERF_OTHER_STACK_H

#include <stdbool.h>

#include "attach/perf/other_stack_event.h"
#include "attach/run/stack_walker.h"

struct cprof_other_switches {
	struct cprof_other_bpf_switch all[CPROF_OTHER_BPF_SWITCHES];
	uint32_t n;
};

/* What the program looks for in this process, whose map must be fresh: nothing in one without Go. Errors: NO_MEMORY. */
struct cprof_error *cprof_other_switches_find(struct cprof_other_switches *switches,
					      const struct cprof_maps *maps,
					      struct cprof_modules *modules);

/*
 * A program that looks for these has not been loaded, by error `why` (an errno value; 0: it has been). True: try again with those that are left.
 * A verifier follows the ways of each, and has its limits.
 */
bool cprof_other_switches_fewer(struct cprof_other_switches *switches, int why);

/* What stands behind an event, `n` bytes at `tail`, into the sample; they are borrowed. Whatever is no such thing is left out. */
void cprof_other_stack_add(struct cprof_session_sample *sample, const void *tail, size_t n);

#endif
