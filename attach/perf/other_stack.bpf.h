/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * attach/perf/other_stack.bpf.h - for BPF programs: the stack from which the current thread came to the one that it is on.
 *
 * A goroutine that calls C is on its thread's stack there, which is all that perf copies; its own says who called. When
 * the event is read the thread may be elsewhere, so it is copied here. The way back is found by the return address of Go's
 * asmcgocall on the stack, and told as an unwinder needs it: nothing is believed for being found here. Costs a process
 * without Go nothing, and others 1 to 2 us for an event.
 */
#ifndef CPROF_ATTACH_PERF_OTHER_STACK_BPF_H
#define CPROF_ATTACH_PERF_OTHER_STACK_BPF_H

#include "attach/perf/other_stack_event.h"

#define OTHER_CHUNK_WORDS 64
#define OTHER_CHUNKS      16 /* 8 KB of C's frames */
#define OTHER_PAGE        4096

/* Set before loading. */
const volatile __u32 other_n_switches;
const volatile struct cprof_other_bpf_switch other_switches[CPROF_OTHER_BPF_SWITCHES];

static __always_inline int other_by(const volatile struct cprof_other_bpf_switch *way, __u64 at,
				    struct cprof_other_bpf *other)
{
	__u64 owner, depth, end;
	if (bpf_probe_read_user(&owner, sizeof(owner), (void *)(at + way->owner)) ||
	    bpf_probe_read_user(&depth, sizeof(depth), (void *)(at + way->depth)) ||
	    bpf_probe_read_user(&end, sizeof(end), (void *)(owner + way->high)) || !depth ||
	    depth > end)
		return 0;
	other->end_at = owner + way->high;
	other->end = end;
	other->sp = end - depth;
	other->n = depth < CPROF_OTHER_BPF_BYTES ? depth : CPROF_OTHER_BPF_BYTES;
	return 1;
}

static __always_inline int other_find(__u64 sp, struct cprof_other_bpf *other, __u64 *words)
{
	for (int chunk = 0; chunk < OTHER_CHUNKS; chunk++, sp += 8 * OTHER_CHUNK_WORDS) {
		if (bpf_probe_read_user(words, 8 * OTHER_CHUNK_WORDS, (void *)sp))
			return 0;
		for (int i = 0; i < OTHER_CHUNK_WORDS; i++) {
			for (int s = 0; s < CPROF_OTHER_BPF_SWITCHES; s++) {
				if (s < other_n_switches && words[i] == other_switches[s].ret &&
				    other_by(&other_switches[s], sp + 8 * i, other))
					return 1;
			}
		}
	}
	return 0;
}

/*
 * What belongs behind an event of a thread with this stack pointer: `*other`, and bytes of that stack in `room`, which has
 * CPROF_OTHER_BPF_BYTES. Returns how many; -1: there is none.
 */
static __always_inline int other_copy(__u64 sp, struct cprof_other_bpf *other, __u64 *room)
{
	if (!other_n_switches || !other_find(sp, other, room))
		return -1;
	__u64 n = other->n;
	if (n > CPROF_OTHER_BPF_BYTES)
		return -1;
	if (bpf_probe_read_user(room, n, (void *)other->sp)) {
		/* Its other page is not in memory. */
		n = OTHER_PAGE - (other->sp & (OTHER_PAGE - 1));
		if (n > other->n || n > CPROF_OTHER_BPF_BYTES ||
		    bpf_probe_read_user(room, n, (void *)other->sp))
			return -1;
		other->n = n;
	}
	return (int)n;
}

#endif
