/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * pieces.bpf.c - keeps one process's samples of a CPU, as bpf_filter.c's program does, and copies for each that lies in C which a
 * goroutine has called a piece of the goroutine's stack.
 *
 * Structures of the kernel are declared with the fields used only; CO-RE finds their place when it is loaded.
 */
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "attach/perf/other_stack.bpf.h"
#include "pieces_bpf.h"

#define CORE __attribute__((preserve_access_index))

struct task_struct {
	int pid;
} CORE;

struct pt_regs {
	unsigned long sp;
} CORE;

/* See wait.bpf.c: some helpers want a GPL-compatible licence. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set before loading: the process, by its number in its own PID namespace. */
const volatile __u64 namespace_dev, namespace_inode;
const volatile __u32 namespace_pid;

struct told {
	struct cprof_pieces_bpf_event event;
	__u64 words[CPROF_OTHER_BPF_BYTES / 8];
};

/* Of the CPU: a program of this kind is not interrupted by another one of its kind. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct told);
} scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
} pieces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, CPROF_PIECES_BPF_PROGRAMS);
	__uint(key_size, 4);
	__uint(value_size, 4);
} programs SEC(".maps");

SEC("perf_event")
int keep_sample(void *ctx)
{
	const __u32 zero = 0;
	struct bpf_pidns_info ids = {};
	if (bpf_get_ns_current_pid_tgid(namespace_dev, namespace_inode, &ids, sizeof(ids)) ||
	    ids.tgid != namespace_pid)
		return 0;
	struct told *told = bpf_map_lookup_elem(&scratch, &zero);
	if (!told)
		return 1; /* which cannot be */
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	told->event.mono_ns = bpf_ktime_get_ns();
	told->event.sp = regs->sp;
	int n = other_copy(regs->sp, &told->event.other, told->words);
	if (n >= 0 && n <= CPROF_OTHER_BPF_BYTES)
		bpf_ringbuf_output(&pieces, told, sizeof(told->event) + n, 0);
	bpf_tail_call(ctx, &programs, CPROF_PIECES_BPF_NEXT);
	return 1;
}
