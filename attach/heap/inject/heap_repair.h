/*
 * attach/heap/inject/heap_repair.h - remove from a process what a killed heap profile left in it.
 *
 * Everything needed is in the code page it left (shim_proto.h): which bytes were changed, what they were, and in which
 * mapping. Each place is compared before it is touched. Works on forked children of a profiled process too, which carry
 * the jumps of their parent. Uses the detach of heap_install.h. Breakpoints that are left are heap_uprobe_left.h's.
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_HEAP_REPAIR_H
#define CPROF_ATTACH_HEAP_INJECT_HEAP_REPAIR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach/heap/uprobe/heap_uprobe_left.h"
#include "base/error.h"

struct cprof_heap_repair {
	uint32_t pages;                     /* code mappings found */
	uint32_t restored;                  /* places whose bytes were put back */
	uint32_t lost_objects;              /* places that were another's by now, and left alone */
	bool page_kept;                     /* try again later: */
	const char *kept_why;               /* static text */
	struct cprof_heap_uprobe_left left; /* breakpoints */
	uint64_t pause_ns;                  /* the longest time its threads stood still */
};

/*
 * Finding nothing is no error: pages is 0 then. Errors: as cprof_heap_detach(), and DENIED if the run that made it is
 * alive.
 */
struct cprof_error *cprof_heap_repair(pid_t pid, struct cprof_heap_repair *ret_repair);

#endif
