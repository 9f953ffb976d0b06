/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/inject/heap_scan.h - is an interrupted context put aside somewhere in a process's memory, to go on later?
 *
 * A program that switches fibers from a signal handler leaves the interrupted one's registers in the signal frame on its
 * stack, or in a copy anywhere. No thread's stack leads there. Such a program is known by the signals it catches only, so
 * all of its memory is looked at, as far as a bound allows.
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_HEAP_SCAN_H
#define CPROF_ATTACH_HEAP_INJECT_HEAP_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/heap/shim/shim_proto.h"
#include "attach/target/target.h"
#include "cprof/maps.h"

/* What counts as a program counter that was put aside: */
struct cprof_heap_scan {
	const struct cprof_shim_range
		*alone; /* a word in one of these, whatever stands beside it */
	size_t n_alone;
	const struct cprof_shim_range *
		in_context; /* one in these only between the registers that the kernel puts there */
	size_t n_in_context;
	const uint64_t *
		but; /* and of `alone` not these, sorted: where code of ours begins, which leftovers on stacks name */
	size_t n_but;
	uint64_t skip_start, skip_end; /* memory of ours */
	const struct cprof_shim_range
		*dead; /* stacks below their threads' stack pointers: leftovers only */
	size_t n_dead;
	uint64_t bytes_max; /* of memory that is there */
};

/* So much can be looked at while threads stand still and wait for it: some milliseconds. */
#define CPROF_HEAP_SCAN_IN_STOP (32ull << 20)

enum cprof_heap_scanned {
	CPROF_HEAP_SCAN_NOTHING,
	CPROF_HEAP_SCAN_FOUND,    /* or there is no memory to look: then better not now */
	CPROF_HEAP_SCAN_TOO_MUCH, /* nothing so far, and the bound is reached */
};

/*
 * Does the process catch a signal by which fibers may be switched: timers, SIGUSR1, SIGURG and the like? True where it cannot be
 * told.
 */
bool cprof_heap_scan_is_needed(pid_t pid);

/* As `text`, a /proc/PID/status, says it. */
bool cprof_heap_scan_catches(const char *text);

/* Look at the writable memory of `target` as `maps` has it; it may run or stand. Reads only what is in memory. */
enum cprof_heap_scanned cprof_heap_scan(const struct cprof_target *target,
					const struct cprof_maps *maps,
					const struct cprof_heap_scan *scan);

/* The same in `n` words, for whom they belong to. */
bool cprof_heap_scan_words(const struct cprof_heap_scan *scan, const uint64_t *words, size_t n);

#endif
