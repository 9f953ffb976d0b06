/*
 * attach/heap/uprobe/heap_bpf.h - what the BPF program of the heap mode's uprobes and attach/heap/uprobe/heap_uprobe.c say to each other.
 *
 * Compiled on both sides, so it uses the kernel's integer names only and every struct has a fixed size.
 */
#ifndef CPROF_ATTACH_HEAP_UPROBE_HEAP_BPF_H
#define CPROF_ATTACH_HEAP_UPROBE_HEAP_BPF_H

#include <linux/types.h>

#include "attach/heap/shim/shim_proto.h"

#define CPROF_HEAP_BPF_HOOKS     256
#define CPROF_HEAP_BPF_RANGES    32
#define CPROF_HEAP_BPF_QUANTILES 4096
#define CPROF_HEAP_BPF_STACK     16384

/* A probe's cookie: the hook's index, and whether the probe is on one of its return instructions. */
#define CPROF_HEAP_BPF_AT_RETURN 0x10000u
#define CPROF_HEAP_BPF_INDEX     0xffffu

/* One function that is watched. */
struct cprof_heap_bpf_hook {
	__u64 addr; /* run-time address of the probe at (or soon behind) its entry */
	__u32 kind; /* CPROF_SHIM_ARG0, ... */
	__u32 by_rets; /* its return instructions have probes: it may throw, so its return address is left alone */
	struct cprof_shim_pool pool; /* of the kinds CPROF_SHIM_POOL... */
	__u32 pad;
};

/* Return addresses in these ranges are the allocator's own. */
struct cprof_heap_bpf_range {
	__u64 start, end;
};

/* A call that goes on and whose result is wanted. */
struct cprof_heap_bpf_pending {
	__u64 sp;      /* at the entry; 0: none */
	__u64 exit_sp; /* when the result is there */
	__u64 ret;     /* return address */
	__u64 size, period;
	__u64 old, old_id; /* realloc of a sampled block: what it was; old_id 0: none */
	__u64 out;         /* posix_memalign: where the result goes */
	__u64 since_ns;
	__u32 hook;
	__u32 sampled; /* else only the old block is of interest */
};

/* What the program knows of a thread. */
struct cprof_heap_bpf_thread {
	__u64 left; /* bytes until the next sample, from 1; 0: every call */
	__u64 period;
	__u64 mark_sp, mark_ret,
		mark_size;    /* a call that may go on to another function by a jump */
	__u32 mark_hook, pad; /* and whose it was */
	struct cprof_heap_bpf_pending pending;
};

/* One sample: registers as the caller has them, its stack from the return address on. */
struct cprof_heap_bpf_event {
	__u64 id;
	__u64 ptr, size, period;
	__u64 sp, ret; /* at the entry: sp points at ret */
	__u64 rbx, rbp, r12, r13, r14, r15;
	__u32 hook;
	__u32 stack_bytes;
	__u8 stack[CPROF_HEAP_BPF_STACK];
};

struct cprof_heap_bpf_counts {
	__u64 calls; /* of allocating functions */
	__u64 frees;
	__u64 lost; /* samples without room in the ring */
	__u64 lost_bytes;
	__u64 table_full; /* samples without room in the table of live blocks */
	__u64 nested;     /* samples that fell on a call by the allocator itself */
	__u64 untold;     /* samples whose call did not return in a way that we see */
	__u64 exec;       /* not 0: the process runs another program */
};

#endif
