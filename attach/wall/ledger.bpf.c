/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ledger.bpf.c - where every nanosecond of every thread of one process goes: on a CPU, waiting for one, blocked, or stopped.
 *
 * A thread's state changes where it is switched out or in (sched_switch), where it is in a queue again (sched_wakeup), and where it
 * begins (sched_process_fork). Between two of these all time is of one state, so the sums of a thread are its lifetime by
 * construction. A thread that has no row yet was, until its first event, in the state that this event ends.
 *
 * Structures of the kernel are declared with the fields used only; CO-RE finds their place when it is loaded.
 */
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "ledger_bpf.h"

#define CORE __attribute__((preserve_access_index))

struct task_struct {
	int on_cpu;
	int pid;
	int tgid;
	unsigned long jobctl;
	char comm[16];
} CORE;

/* As the kernel has them: bits of a task's state, and of its job control. */
#define TASK_STOPPED_OR_TRACED 12
#define TASK_FROZEN            0x8000 /* by the freezer of the first cgroups; since 6.1 */
#define TASK_DEAD              128
#define JOBCTL_TRAP_FREEZE     (1ul << 23)

/* See wait.bpf.c: some helpers want a GPL-compatible licence. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set before loading. */
const volatile __u32 target_tgid;

/* The window, CLOCK_MONOTONIC: what lies outside is not counted. Changed while running. */
volatile __u64 start_ns = ~0ull, end_ns = ~0ull;
volatile __u64
	step_ns; /* tell of each thread once in so long that it changes; 0: nobody asks when it was */

__u64 ended; /* threads that have */
__u64 full;  /* threads that had no room */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CPROF_LEDGER_THREADS_MAX);
	__type(key, __u32);
	__type(value, struct cprof_ledger_bpf_thread);
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* CPROF_LEDGER_TOLD_BYTES where somebody asks when it was */
} told SEC(".maps");

static __always_inline struct cprof_ledger_bpf_thread *find(__u32 tid)
{
	return bpf_map_lookup_elem(&threads, &tid);
}

/* One more, in `state` since `since`. */
static __always_inline struct cprof_ledger_bpf_thread *add(__u32 tid, __u32 state, __u64 since)
{
	const struct cprof_ledger_bpf_thread fresh = {
		.state = state,
		.since_ns = since,
		.mark_ns = since,
		.tell_ns = since ? since + CPROF_LEDGER_YOUNG_NS : 0,
	};
	if (bpf_map_update_elem(&threads, &tid, &fresh, BPF_ANY))
		__sync_fetch_and_add(&full, 1);
	return find(tid);
}

/* The row of a thread whose present state, if it has none, is `state`. One that has ended and goes on has taken the id in an exec. */
static __always_inline struct cprof_ledger_bpf_thread *row(__u32 tid, __u32 state, __u64 now)
{
	struct cprof_ledger_bpf_thread *thread = find(tid);
	if (!thread)
		return add(tid, state, 0);
	if (thread->ended_ns) {
		thread->ended_ns = 0;
		thread->since_ns = now;
		thread->state = state;
		thread->name[0] = 0;
	}
	return thread;
}

/* What there was until the end of its last step, and what it has been in since then. Where there is no room it is told next time. */
static __always_inline void tell(struct cprof_ledger_bpf_thread *thread, __u32 tid, __u64 now)
{
	const __u64 start = start_ns, end = end_ns, step = step_ns;
	if (!step || now < thread->tell_ns || now < start || thread->mark_ns >= end)
		return;
	struct cprof_ledger_bpf_told *record = bpf_ringbuf_reserve(&told, sizeof(*record), 0);
	if (!record)
		return;
	record->thread = *thread;
	record->now_ns = now;
	record->tid = tid;
	record->pad = 0;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	__builtin_memset(thread->ns, 0, sizeof(thread->ns));
	thread->runs = 0;
	thread->told++;
	thread->mark_ns = thread->since_ns = now;
	thread->tell_ns = start + ((now - start) / step + 1) * step;
}

static __always_inline void change(struct cprof_ledger_bpf_thread *thread, __u32 tid, __u32 state,
				   __u64 now)
{
	tell(thread, tid, now);
	const __u64 start = start_ns, end = end_ns;
	const __u64 from = thread->since_ns > start ? thread->since_ns : start;
	const __u64 to = now < end ? now : end;
	const __u32 was = thread->state;
	if (to > from && was < CPROF_LEDGER_STATES)
		thread->ns[was] += to - from;
	thread->runs += state == CPROF_LEDGER_ON_CPU && now >= start && now < end;
	thread->state = state;
	thread->since_ns = now;
}

static __always_inline __u32 state_of(const struct task_struct *task, unsigned int kernel_state)
{
	if ((kernel_state & (TASK_STOPPED_OR_TRACED | TASK_FROZEN)) ||
	    (task->jobctl & JOBCTL_TRAP_FREEZE))
		return CPROF_LEDGER_STOPPED;
	return CPROF_LEDGER_BLOCKED;
}

static __always_inline void goes_out(struct task_struct *task, _Bool preempt, unsigned int state,
				     __u64 now)
{
	struct cprof_ledger_bpf_thread *thread = row(task->pid, CPROF_LEDGER_ON_CPU, now);
	if (!thread)
		return;
	if (preempt || !state) {
		change(thread, task->pid, CPROF_LEDGER_PREEMPTED, now);
		return;
	}
	change(thread, task->pid, state_of(task, state), now);
	if (state & TASK_DEAD) {
		bpf_core_read(thread->name, sizeof(thread->name), &task->comm);
		thread->ended_ns = now;
		__sync_fetch_and_add(&ended, 1);
	}
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, _Bool preempt, struct task_struct *prev, struct task_struct *next,
	     unsigned int prev_state)
{
	const int out = prev->tgid == target_tgid, in = next->tgid == target_tgid;
	if (!out && !in)
		return 0;
	const __u64 now = bpf_ktime_get_ns();
	if (out)
		goes_out(prev, preempt, prev_state, now);
	if (in) {
		struct cprof_ledger_bpf_thread *thread =
			row(next->pid, CPROF_LEDGER_PREEMPTED, now);
		if (thread)
			change(thread, next->pid, CPROF_LEDGER_ON_CPU, now);
	}
	return 0;
}

/*
 * It is told also of one that was about to sleep and has not been switched out: that one goes on running. A thread that has had no
 * event yet was asleep; of one that was stopped then, which nothing shows here any more, a row has been written from outside.
 */
SEC("tp_btf/sched_wakeup")
int BPF_PROG(on_wakeup, struct task_struct *task)
{
	if (task->tgid != target_tgid)
		return 0;
	struct cprof_ledger_bpf_thread *thread = find(task->pid);
	if (!thread && !task->on_cpu)
		thread = add(task->pid, CPROF_LEDGER_BLOCKED, 0);
	if (thread && !thread->ended_ns && thread->state >= CPROF_LEDGER_BLOCKED)
		change(thread, task->pid, CPROF_LEDGER_WOKEN, bpf_ktime_get_ns());
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	if (child->tgid == target_tgid)
		add(child->pid, CPROF_LEDGER_PREEMPTED, bpf_ktime_get_ns());
	return 0;
}

/* The thread that does it goes on with the process's own id, which is nobody's then; its first one is no thread's any more. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid)
{
	if (task->tgid != target_tgid || old_pid == task->pid)
		return 0;
	const __u64 now = bpf_ktime_get_ns();
	struct cprof_ledger_bpf_thread *old = find(old_pid);
	if (old && !old->ended_ns) {
		change(old, old_pid, CPROF_LEDGER_BLOCKED, now);
		old->ended_ns = now;
		__sync_fetch_and_add(&ended, 1);
	}
	if (find(task->pid))
		row(task->pid, CPROF_LEDGER_ON_CPU, now);
	else
		add(task->pid, CPROF_LEDGER_ON_CPU, now);
	return 0;
}
