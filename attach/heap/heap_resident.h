/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/heap_resident.h - what a heap run says of all resident memory: how the heap and the rest make up RSS.
 *
 * Brings together what is known of the address space (allocators, stacks of threads, data of programs) with smaps, and puts the account of
 * resident/resident.h into the run's log, and so into the summary and the profile's comments. Does not stop the target.
 */
#ifndef CPROF_ATTACH_HEAP_HEAP_RESIDENT_H
#define CPROF_ATTACH_HEAP_HEAP_RESIDENT_H

#include <stdint.h>

#include "attach/heap/baseline/baseline_account.h"
#include "attach/heap/mmap/mapped_set.h"
#include "attach/heap/resident/smaps.h"
#include "attach/run/process.h"
#include "attach/run/run_log.h"
#include "cprof/error.h"
#include "cprof/module.h"

/* What is known of the process; all is borrowed. */
struct cprof_heap_resident {
	struct cprof_process *process;
	struct cprof_modules *modules;
	const struct cprof_smaps *
		smaps; /* as of now; NULL: it is read, which takes the kernel 30 ms for a gigabyte */
	const struct cprof_baseline_account
		*account; /* what the allocators hold now; NULL: nobody looked */
	const struct cprof_mapped_set
		*mapped;   /* what it has mapped itself since the attach; NULL: nobody looked */
	double seen_bytes; /* in use by what was sampled */
};

/*
 * Note the account. What cannot be read (the process has ended, other people's files in /proc) is noted, and no error.
 * Errors: NO_MEMORY.
 */
struct cprof_error *cprof_heap_resident_note(struct cprof_run_log *log,
					     const struct cprof_heap_resident *known);

#endif
