/*
 * attach/heap/uprobe/heap_uprobe_link.h - attach a BPF program to a place in a file, for one process: the two ways the kernel has.
 *
 *   session  Linux 6.13 on. One program at the entry, which decides each time whether the return is of interest: only
 *            then does the kernel put its own return address in.
 *   perf     Linux 5.15 on. A perf event for the entry and one for the return; every call returns through the kernel.
 *
 * Either way descriptors hold the probes, which are gone when these are closed.
 */
#ifndef CPROF_ATTACH_HEAP_UPROBE_HEAP_UPROBE_LINK_H
#define CPROF_ATTACH_HEAP_UPROBE_HEAP_UPROBE_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cprof/error.h"

#define CPROF_HEAP_UPROBE_SPOTS 64

/* The places of one function, which are attached together. */
struct cprof_heap_uprobe_spots {
	uint64_t offsets[CPROF_HEAP_UPROBE_SPOTS]; /* in the file */
	uint64_t cookies[CPROF_HEAP_UPROBE_SPOTS]; /* for the program */
	uint32_t n;
	bool returns; /* the return of the function at the last spot is of interest, too */
};

#define CPROF_HEAP_UPROBE_FDS (CPROF_HEAP_UPROBE_SPOTS + 1)

struct cprof_heap_uprobe_way {
	const char *name;
	uint32_t attach_type; /* the program is loaded for; 0: any */
	bool always_returns; /* the program is called at every return, and its result means nothing */
	bool by_leader; /* knows a process by its first thread only, and does not find it when that has ended */

	/*
	 * Attach `program` at all `spots` of the file at `path`, for the process that `tid` is a living thread of. The
	 * descriptors that hold it go to fds[] of CPROF_HEAP_UPROBE_FDS, *ret_n of them. Errors: OS, with errno; nothing is
	 * attached then.
	 */
	struct cprof_error *(*attach)(int program, const char *path,
				      const struct cprof_heap_uprobe_spots *spots, pid_t tid,
				      int *fds, size_t *ret_n);
};

/* A probe at a place, or on a function's return, without a program; its descriptor, or -1 and errno. */
int cprof_heap_uprobe_event(const char *path, uint64_t offset, pid_t tid);
int cprof_heap_uprobe_return_event(const char *path, uint64_t offset, pid_t tid);

/* In the order of trying. */
extern const struct cprof_heap_uprobe_way cprof_heap_uprobe_ways[];
extern const size_t cprof_heap_uprobe_n_ways;

#endif
