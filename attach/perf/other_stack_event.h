/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/perf/other_stack_event.h - what a BPF program that copies the stack from which a thread came to the present one (other_stack.bpf.h)
 * and the reader of its events (other_stack.h) say to each other.
 *
 * Compiled on both sides, so it uses the kernel's integer names only and every struct has a fixed size.
 */
#ifndef CPROF_ATTACH_PERF_OTHER_STACK_EVENT_H
#define CPROF_ATTACH_PERF_OTHER_STACK_EVENT_H

#include <linux/types.h>

#define CPROF_OTHER_BPF_SWITCHES 4
#define CPROF_OTHER_BPF_BYTES    4096

/* A call out of a goroutine's stack: struct cprof_switch_site (symbolize/unwind/unwind_switch.h), of which the kernel needs this. */
struct cprof_other_bpf_switch {
	__u64 ret;
	__u32 owner, depth, high;
	__u32 pad;
};

/* In an event, with `n` bytes of that stack from `sp` on behind it. */
struct cprof_other_bpf {
	__u64 end_at, end; /* the word that says where it ends: its address, and what it was */
	__u64 sp;
	__u64 n;
};

#endif
