/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * mmap.bpf.c - picks out the calls by which one process maps and unmaps memory, and lets perf copy registers and stack.
 *
 * One program where system calls begin and one where they return, for the whole machine: a handful of descriptors however many
 * threads the process has. Both are tp_btf programs, whose result nobody looks at and which the kernel takes off without waiting for
 * anybody. Calls of the 32-bit kind have other numbers and are left out.
 *
 * Structures of the kernel are declared with the fields used only; CO-RE finds their place when it is loaded.
 */
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "mmap_bpf.h"

#define CORE       __attribute__((preserve_access_index))
#define COMPAT     2 /* TS_COMPAT of thread_info.status, of x86 */
#define ERRNO_LAST (-4095)

struct thread_info {
	unsigned int status;
} CORE;

struct task_struct {
	struct thread_info thread_info;
	int tgid;
} CORE;

struct pt_regs {
	unsigned long orig_ax;
} CORE;

/* The kernel gives bpf_perf_event_output to programs with a GPL-compatible licence only; see wait.bpf.c. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set before loading. */
const volatile __u32 target_tgid;

struct events {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
};
struct events with_stack SEC(".maps"), without_stack SEC(".maps");

static __always_inline int is_ours(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	return task->tgid == target_tgid && !(task->thread_info.status & COMPAT);
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_call, struct pt_regs *regs, long nr)
{
	if ((nr != CPROF_MMAP_BPF_MUNMAP && nr != CPROF_MMAP_BPF_SHMDT) || !is_ours())
		return 0;
	struct cprof_mmap_bpf_event event = { .nr = nr };
	bpf_perf_event_output(ctx, &without_stack, BPF_F_CURRENT_CPU, &event, sizeof(event));
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_return, struct pt_regs *regs, long ret)
{
	const long nr = regs->orig_ax;
	if (nr != CPROF_MMAP_BPF_MMAP && nr != CPROF_MMAP_BPF_BRK && nr != CPROF_MMAP_BPF_MREMAP &&
	    nr != CPROF_MMAP_BPF_SHMAT)
		return 0;
	if ((ret < 0 && ret >= ERRNO_LAST) || !is_ours())
		return 0;
	struct cprof_mmap_bpf_event event = { .nr = nr };
	bpf_perf_event_output(ctx, &with_stack, BPF_F_CURRENT_CPU, &event, sizeof(event));
	return 0;
}
