/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/uprobe/heap_uprobe_impl.h - the probes of a process: the inside of heap_uprobe.h, for the files that implement it.
 *
 * heap_uprobe.c knows which functions are watched and what comes of it, heap_uprobe_attach.c puts the probes in and takes
 * them out.
 */
#ifndef CPROF_ATTACH_HEAP_UPROBE_HEAP_UPROBE_IMPL_H
#define CPROF_ATTACH_HEAP_UPROBE_HEAP_UPROBE_IMPL_H

#include "attach/heap/uprobe/heap_bpf.h"
#include "attach/heap/uprobe/heap_uprobe.h"
#include "attach/heap/uprobe/heap_uprobe_children.h"
#include "attach/heap/uprobe/heap_uprobe_file.h"
#include "attach/heap/uprobe/heap_uprobe_link.h"
#include "attach/heap/uprobe/heap_uprobe_program.h"
#include "attach/heap/code/code_object.h"

/* One probe. */
struct cprof_heap_uprobe_spot {
	struct cprof_heap_uprobe_file *file; /* borrowed */
	uint64_t addr;                       /* run-time */
	uint32_t cookie;
	uint64_t counter; /* offset in the file; 0: none */
};

/* All of one function. */
struct cprof_heap_uprobe_probes {
	uint32_t number;
	bool attached;
	size_t n;
	struct cprof_heap_uprobe_spot spots[];
};

/* Probes in one file being attached, by a child of ours. Of many functions at once: each child costs time. */
struct cprof_heap_uprobe_attaching {
	const struct cprof_heap_uprobe_way *way;
	int program;
	pid_t tid;
	char path[64];
	struct cprof_heap_uprobe_spots spots;
	/* what comes back */
	int why;
	uint32_t failed;
	size_t n_fds;
	int fds[CPROF_HEAP_UPROBE_SPOTS];
};

struct cprof_heap_uprobe {
	struct cprof_target *target;   /* borrowed */
	struct cprof_maps *maps;       /* borrowed */
	struct cprof_modules *modules; /* borrowed */
	struct cprof_code_objects objects;
	size_t way; /* index in cprof_heap_uprobe_ways */
	struct cprof_heap_uprobe_program program;
	struct cprof_heap_uprobe_attaching *attaching; /* owned; shared with children */
	int *fds;                                      /* owned, and what they hold: the probes */
	size_t n_fds, cap_fds;
	bool enabled;
	bool gone;                             /* the kernel took the probes out */
	pid_t tid;                             /* the thread that the probes were attached by */
	struct cprof_heap_uprobe_file **files; /* owned, and so are they */
	size_t n_files, cap_files;
	struct cprof_heap_uprobe_probes *probes[CPROF_HEAP_BPF_HOOKS]; /* owned */
	size_t n_probes;
	struct cprof_heap_uprobe_children children;
};

/* Load the program for another of cprof_heap_uprobe_ways. */
struct cprof_error *cprof_heap_uprobe_open_way(struct cprof_heap_uprobe *uprobe, size_t way);

/* Take out what the descriptors from number `first` on hold. */
void cprof_heap_uprobe_detach(struct cprof_heap_uprobe *uprobe, size_t first);

/* Forget number `i` of the functions, which has no probes in place. */
void cprof_heap_uprobe_drop(struct cprof_heap_uprobe *uprobe, size_t i);

#endif
