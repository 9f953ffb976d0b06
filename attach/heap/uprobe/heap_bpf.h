/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/uprobe/heap_bpf.h - what the BPF program of the heap mode's uprobes and attach/heap/uprobe/heap_uprobe.c say to each other.
 *
 * Compiled on both sides, so it uses the kernel's integer names only and every struct has a fixed size.
 */
#ifndef CPROF_ATTACH_HEAP_UPROBE_HEAP_BPF_H
#define CPROF_ATTACH_HEAP_UPROBE_HEAP_BPF_H

#include <linux/types.h>

#include "attach/heap/alloc/usdt_args.h"
#include "attach/heap/shim/shim_proto.h"

#define CPROF_HEAP_BPF_HOOKS     256
#define CPROF_HEAP_BPF_RANGES    32
#define CPROF_HEAP_BPF_QUANTILES 4096
#define CPROF_HEAP_BPF_STACK     16384

/* A probe's cookie: the hook's index, and what kind of place in its function the probe is on. */
#define CPROF_HEAP_BPF_INDEX    0xffffu
#define CPROF_HEAP_BPF_AT       0x70000u
#define CPROF_HEAP_BPF_AT_ENTRY 0x00000u
#define CPROF_HEAP_BPF_AT_RET   0x10000u /* a return instruction: the result is in rax */
#define CPROF_HEAP_BPF_AT_FIRST                                                                    \
	0x20000u /* a jump to a function that returns its first argument (memset): that is in rdi */
#define CPROF_HEAP_BPF_AT_NONE 0x30000u /* a jump to a function that frees: there is no result */

/* Not functions but the program's own probes, otel_memory:alloc and :free: the index is a site's. */
#define CPROF_HEAP_BPF_AT_ALLOC 0x40000u
#define CPROF_HEAP_BPF_AT_FREE  0x50000u
#define CPROF_HEAP_BPF_SITES    CPROF_USDT_SITES_MAX

/* event->hook of a sample from a site: with its index; and event->period, with the bytes that it stands for. */
#define CPROF_HEAP_BPF_SITE_HOOK 0x10000u

struct cprof_heap_bpf_site {
	__u64 addr; /* run-time */
	struct cprof_usdt_operand args[CPROF_USDT_ARGS];
};

/* One function that is watched. */
struct cprof_heap_bpf_hook {
	__u64 addr; /* run-time address of the probe at (or soon behind) its entry */
	__u32 kind; /* CPROF_SHIM_ARG0, ... */
	struct cprof_shim_pool pool; /* of the kinds CPROF_SHIM_POOL... */
};

/* Return addresses in these ranges are the allocator's own. */
struct cprof_heap_bpf_range {
	__u64 start, end;
};

/*
 * A call whose result is wanted, under the stack pointer at its entry, which is the one at its return as well. What its
 * frame was left without (longjmp, an exception, the end of its stack) is overwritten by the next call at that place.
 */
struct cprof_heap_bpf_note {
	__u64 ret; /* return address */
	__u64 size, period;
	__u64 old, old_id; /* realloc of a sampled block: what it was; old_id 0: none */
	__u64 out;         /* posix_memalign: where the result goes */
	__u32 hook;
	__u32 sampled; /* else only the old block is of interest */
};

/* What the program knows of a thread. */
struct cprof_heap_bpf_thread {
	__u64 left; /* bytes until the next sample, from 1; 0: every call */
	__u64 period;
	__u64 mark_sp, mark_ret; /* a call that may go on to another function by a jump */
	__u32 mark_hook, pad;    /* and whose it was */
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
	__u64 noted;      /* sampled calls that began, */
	__u64 told;       /* those that returned, */
	__u64 left;       /* and those that never will: another call began where they were */
	__u64 exec;       /* not 0: the process runs another program */
};

#endif
