/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/uprobe/heap_uprobe_link.h - attach a BPF program to places in a file, for one process: the two ways the kernel has.
 *
 *   multi  Linux 6.13 on. All places of a file by one descriptor, in milliseconds.
 *   perf   Linux 5.15 on. A perf event for each place, some 10 ms each to attach and to take out.
 *
 * Either way a place gets a breakpoint and nothing else: no return address is changed. Descriptors hold the breakpoints,
 * which are gone when these are closed; for that and for attaching see heap_uprobe_apart.h.
 *
 * A forked child has the breakpoints too. The kernel takes those of a perf event out when the child first comes past one;
 * those of a multi link stay, and cost it time, until another link at these places ends.
 */
#ifndef CPROF_ATTACH_HEAP_UPROBE_HEAP_UPROBE_LINK_H
#define CPROF_ATTACH_HEAP_UPROBE_HEAP_UPROBE_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CPROF_HEAP_UPROBE_SPOTS 512

/* Places in one file. */
struct cprof_heap_uprobe_spots {
	uint64_t offsets[CPROF_HEAP_UPROBE_SPOTS]; /* in the file */
	uint64_t cookies[CPROF_HEAP_UPROBE_SPOTS]; /* for the program */
	uint64_t counters
		[CPROF_HEAP_UPROBE_SPOTS]; /* offsets of words that the kernel counts up meanwhile; 0: none */
	uint32_t n;
};

struct cprof_heap_uprobe_way {
	const char *name;
	uint32_t attach_type; /* the program is loaded for; 0: any */
	bool by_leader; /* knows a process by its first thread only, and does not find it when that has ended */
	/*
	 * A program that does nothing, for being attached and taken out at once, which takes breakpoints out of all
	 * processes but those that somebody wants them in; its descriptor or -1. NULL: forked children lose theirs anyway.
	 */
	int (*load_nothing)(void);

	/*
	 * Attach `program` at all `spots` of the file at `path`, for the process that `tid` is a living thread of, in their
	 * order. The descriptors that hold it are added to fds[], which has room for one a spot, *n of them; also
	 * where it fails. 0 or errno; *failed is the index of a spot that the kernel wants no breakpoint on, where it says.
	 */
	int (*attach)(int program, const char *path, const struct cprof_heap_uprobe_spots *spots,
		      pid_t tid, int *fds, size_t *n, uint32_t *failed);
};

/* A probe at a place, which may have a counter, without a program; its descriptor, or -1 and errno. */
int cprof_heap_uprobe_event(const char *path, uint64_t offset, uint64_t counter, pid_t tid);

/* In the order of trying. */
extern const struct cprof_heap_uprobe_way cprof_heap_uprobe_ways[];
extern const size_t cprof_heap_uprobe_n_ways;

#endif
