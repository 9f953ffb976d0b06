/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * wait.bpf.c - times the waits of one process, keeps some by Go's law, and lets perf copy the stacks of those.
 *
 * A wait begins where a thread is switched out asleep (sched_switch), ends where it is woken (sched_waking), and
 * is told when the thread itself is `current` again, with its registers and stack to be copied, and the time known
 * that decides whether it is kept. The kernel tells that moment since 6.16 (sched_exit_tp, where a schedule() comes
 * back). Before that, and where the sleeps of one call are to be one wait (-block all), the return of its system call has to
 * do, which makes every system call of the machine a little slower. In mutex mode the waker answers instead, where it
 * wakes: it is `current` there, in its own futex call.
 *
 * The exit hooks return 1: a program on a tracepoint that returns 0 hides the event from every other perf user
 * of the machine. sched_switch and sched_waking are tp_btf programs, whose result nobody looks at.
 *
 * Structures of the kernel are declared with the fields used only; CO-RE finds their place when it is loaded.
 */
#include <linux/bpf.h>
#include <linux/futex.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "attach/context/context_read.bpf.h"
#include "attach/perf/other_stack.bpf.h"
#include "wait_bpf.h"

#define CORE __attribute__((preserve_access_index))

struct task_struct {
	unsigned in_iowait : 1;
	int pid;
	int tgid;
	unsigned long jobctl;
} CORE;

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long di, si, dx, orig_ax, sp;
} CORE;
#define SYSCALL_NR(regs) ((int)(regs)->orig_ax)
#define ARG1(regs)       ((regs)->di)
#define ARG2(regs)       ((regs)->si)
#define ARG3(regs)       ((regs)->dx)
#define NR_FUTEX         202
#define NR_FUTEX_WAITV   449
#define NR_FUTEX_WAIT    455
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	unsigned long regs[31];
	unsigned long sp;
	unsigned long orig_x0;
	int syscallno;
} CORE;
#define SYSCALL_NR(regs) ((regs)->syscallno)
#define ARG1(regs)       ((regs)->orig_x0)
#define ARG2(regs)       ((regs)->regs[1])
#define ARG3(regs)       ((regs)->regs[2])
#define NR_FUTEX         98
#define NR_FUTEX_WAITV   449
#define NR_FUTEX_WAIT    455
#else
#error "no table for this CPU"
#endif

#define FAULT_RATE_NS     100000 /* up to this rate every page fault is told */
#define FUTEX_COMMAND(op) ((op)&127)
#define OWNER_OFFSET      8 /* struct __pthread_mutex_s: __owner behind __lock and __count */

/*
 * The kernel gives some helpers (probe_read, perf_event_output) to programs with a GPL-compatible licence only, which Apache-2.0 is
 * not in its list. So this file has two, of which BSD-2-Clause lets it be part of an Apache-2.0 program; the string says both.
 */
char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set before loading. */
const volatile __u32 target_tgid;
const volatile __u32 all_syscalls; /* -block all: every sleep, not futexes only */
const volatile __u32 tell_waits, tell_releases;
const volatile __u32 tell_at_resume; /* on_resume tells waits, no return from a call */

/* Changed while running. */
volatile __u64 rate_ns = 1;
struct cprof_wait_bpf_counts counts[CPROF_WAIT_BPF_CPUS];

#define COUNT(what, n)                                                                             \
	__sync_fetch_and_add(&counts[bpf_get_smp_processor_id() & (CPROF_WAIT_BPF_CPUS - 1)].what, \
			     n)

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u32);
	__type(value, struct cprof_wait_bpf_thread);
} threads SEC(".maps");

/* The queue behind one futex: see attach/waits/wait_charge.h, which keeps the same sums outside the kernel. */
struct lock {
	struct bpf_spin_lock guard;
	__u32 waiters;
	__u64 since_sum_ns;
	__u64 released_ns;
	__u64 debt_ns; /* of those who left without a release */
	__u32 owner;   /* as the lock itself said when the last one joined; 0 unknown */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH); /* a map that evicts may not hold spin locks */
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct lock);
} locks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} events SEC(".maps");

static __always_inline int is_futex(int nr)
{
	/* No hook of ours is on the return of the newest one: it must be told elsewhere. */
	return nr == NR_FUTEX || nr == NR_FUTEX_WAITV ||
	       (nr == NR_FUTEX_WAIT && (tell_at_resume || all_syscalls));
}

static __always_inline int wakes(int nr, __u32 op)
{
	if (nr != NR_FUTEX)
		return 0;
	__u32 command = FUTEX_COMMAND(op);
	return command == FUTEX_WAKE || command == FUTEX_WAKE_BITSET || command == FUTEX_WAKE_OP ||
	       command == FUTEX_REQUEUE || command == FUTEX_CMP_REQUEUE ||
	       command == FUTEX_UNLOCK_PI || command == FUTEX_CMP_REQUEUE_PI;
}

/* Go's law: p = min(1, delay / rate). */
static __always_inline int keeps(__u64 delay, __u64 rate)
{
	if (delay >= rate)
		return 1;
	/* 32 random bits times a rate below 2^32 (wait_tier_bpf.c sees to that) do not overflow. */
	return ((__u64)bpf_get_prandom_u32() * rate) >> 32 < delay;
}

static __always_inline void lock_begin(__u64 addr, __u64 now, __u32 owner)
{
	struct lock *lock = bpf_map_lookup_elem(&locks, &addr);
	if (!lock) {
		struct lock empty = {};
		bpf_map_update_elem(&locks, &addr, &empty, BPF_NOEXIST);
		lock = bpf_map_lookup_elem(&locks, &addr);
		if (!lock) {
			COUNT(full, 1);
			return;
		}
	}
	bpf_spin_lock(&lock->guard);
	lock->waiters++;
	lock->since_sum_ns += now;
	lock->owner = owner;
	bpf_spin_unlock(&lock->guard);
}

/*
 * One waiter leaves the queue: by a release, which then pays for the whole queue, or by itself, to be paid later.
 * `*owner` is whom the lock named, once only: after a release its owner is somebody else.
 */
static __always_inline __u64 lock_end(__u64 addr, __u64 began, __u64 now, int released,
				      __u32 *owner)
{
	struct lock *lock = bpf_map_lookup_elem(&locks, &addr);
	__u64 charge = 0;
	if (!lock)
		return 0;
	bpf_spin_lock(&lock->guard);
	if (lock->waiters) {
		if (released) {
			*owner = lock->owner;
			lock->owner = 0;
			charge = lock->waiters * now - lock->since_sum_ns + lock->debt_ns;
			lock->debt_ns = 0;
			lock->waiters--;
			lock->since_sum_ns = lock->waiters * now;
			lock->released_ns = now;
		} else {
			__u64 since = began > lock->released_ns ? began : lock->released_ns;
			lock->waiters--;
			lock->since_sum_ns -= since;
			lock->debt_ns += now > since ? now - since : 0;
		}
	}
	bpf_spin_unlock(&lock->guard);
	return (__s64)charge > 0 ? charge : 0;
}

static __always_inline struct cprof_wait_bpf_thread *thread_get(__u32 tid)
{
	struct cprof_wait_bpf_thread *thread = bpf_map_lookup_elem(&threads, &tid);
	if (thread)
		return thread;
	static const struct cprof_wait_bpf_thread empty;
	bpf_map_update_elem(&threads, &tid, &empty, BPF_NOEXIST);
	thread = bpf_map_lookup_elem(&threads, &tid);
	if (!thread)
		COUNT(full, 1);
	return thread;
}

/*
 * glibc keeps a mutex's owner 8 bytes behind its futex word, and a rwlock's writer 12 or 16 behind its two, with zeros
 * between. The reader of the event believes only numbers of threads.
 */
static __always_inline __u32 read_owner(__u64 addr, __u32 op, __u32 val)
{
	__u32 words[3] = {};
	bpf_probe_read_user(words, sizeof(words), (void *)(addr + OWNER_OFFSET));
	if (words[0] || FUTEX_COMMAND(op) != FUTEX_WAIT_BITSET || (val != 2 && val != 3))
		return words[0];
	return words[1] ? words[1] : words[2];
}

/* glibc's mutexes; behind another futex word, a Go or Rust program's say, may stand anything. */
static __always_inline int names_owner(__u32 op, __u32 val)
{
	__u32 command = FUTEX_COMMAND(op);
	return command == FUTEX_LOCK_PI || (command == FUTEX_WAIT && (val == 2 || val >> 31));
}

static __always_inline void falls_asleep(void *ctx, struct task_struct *task, __u64 now)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	int nr = SYSCALL_NR(regs);
	if (!all_syscalls && !is_futex(nr))
		return;
	struct cprof_wait_bpf_thread *thread = thread_get(task->pid);
	if (!thread)
		return;

	thread->asleep_since_ns = now;
	thread->woken_ns = 0;
	thread->unsure = 0;
	thread->waker = 0;
	thread->syscall = nr;
	thread->disk = BPF_CORE_READ_BITFIELD(task, in_iowait);
	if (!is_futex(nr)) {
		thread->addr = nr < 0 ? 0 : ARG1(regs);
		thread->lock_addr = 0;
		/*
		 * No exit hook follows a page fault: its stack is told now, its time later. So it is kept without knowing
		 * how long it will take: one in so many, fewer as the rate rises.
		 */
		__u64 every = rate_ns / FAULT_RATE_NS;
		thread->val = 0;
		if (nr < 0 && tell_waits && !tell_at_resume &&
		    (every < 2 || bpf_get_prandom_u32() % every == 0)) {
			thread->val = every < 2 ? 1 : every;
			struct cprof_wait_bpf_event event = {
				.what = CPROF_WAIT_BPF_FAULT,
				.tid = task->pid,
				.syscall = nr,
				.serial = ++thread->serial,
			};
			bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &event,
					      sizeof(event));
		}
		return;
	}
	thread->addr = ARG1(regs);
	thread->op = ARG2(regs);
	thread->val = ARG3(regs);
	thread->owner = read_owner(thread->addr, thread->op, thread->val);
	if (tell_releases) {
		/* In this order: who is just about to wake it on another CPU must not leave the queue first. */
		lock_begin(thread->addr, now,
			   names_owner(thread->op, thread->val) ? thread->owner : 0);
		*(volatile __u64 *)&thread->lock_addr = thread->addr;
	}
}

/* Whether the task, asleep until now, is in the call that `thread` tells of; it could be preempted in a later one. */
static __always_inline int is_in_call(struct task_struct *task,
				      const struct cprof_wait_bpf_thread *thread)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	return SYSCALL_NR(regs) == thread->syscall && ARG1(regs) == thread->addr &&
	       (__u32)ARG2(regs) == thread->op;
}

static __always_inline void end_sleep(void *ctx, struct cprof_wait_bpf_thread *thread,
				      struct task_struct *task, __u64 now)
{
	__u32 tid = task->pid;
	if (thread->unsure) {
		thread->unsure = 0;
		if (!is_in_call(task, thread)) {
			thread->asleep_since_ns = 0;
			return;
		}
	}
	__u64 woken = thread->woken_ns ? thread->woken_ns : now;
	thread->delay_ns += woken - thread->asleep_since_ns;
	thread->queue_ns += now - woken;
	/*
	 * sched_waking is told before the sleeper has gone to sleep where the two race; then it is this short sleep's only
	 * end, and must not leave a waiter behind in the queue.
	 */
	__u32 owner;
	if (thread->lock_addr)
		lock_end(thread->lock_addr, thread->asleep_since_ns, now, 0, &owner);
	thread->lock_addr = 0;
	thread->asleep_since_ns = 0;
	if (thread->syscall < 0 && tell_at_resume)
		return; /* its stack is there still, and told as any other wait's */
	if (thread->syscall < 0 && !thread->val) {
		thread->delay_ns = thread->queue_ns = 0;
	} else if (thread->syscall < 0 && tell_waits) {
		struct cprof_wait_bpf_event event = {
			.what = CPROF_WAIT_BPF_FAULT_END,
			.tid = tid,
			.syscall = thread->syscall,
			.val = thread->val,
			.serial = thread->serial,
			.delay_ns = thread->delay_ns,
			.queue_ns = thread->queue_ns,
		};
		thread->delay_ns = thread->queue_ns = 0;
		bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &event, sizeof(event));
	}
}

static __always_inline void runs_again(void *ctx, struct task_struct *task, __u64 now)
{
	__u32 tid = task->pid;
	struct cprof_wait_bpf_thread *thread = bpf_map_lookup_elem(&threads, &tid);
	if (thread && thread->asleep_since_ns)
		end_sleep(ctx, thread, task, now);
}

/* TASK_INTERRUPTIBLE and TASK_UNINTERRUPTIBLE; a stopped or dying task does not wait for anything of ours. */
#define ASLEEP 3
/* As the kernel has it; nor does one that its cgroup's freezer holds, though it sleeps as others do. */
#define JOBCTL_TRAP_FREEZE (1ul << 23)

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, _Bool preempt, struct task_struct *prev, struct task_struct *next,
	     unsigned int prev_state)
{
	int out = prev->tgid == target_tgid, in = !tell_at_resume && next->tgid == target_tgid;
	if (!out && !in)
		return 0;
	__u64 now = bpf_ktime_get_ns();
	if (out && !preempt && (prev_state & ASLEEP) && !(prev->jobctl & JOBCTL_TRAP_FREEZE))
		falls_asleep(ctx, prev, now);
	if (in)
		runs_again(ctx, next, now);
	return 0;
}

/* What a queue has cost beyond what its release was told with is paid by the next one. */
static __always_inline void lock_owe(__u64 addr, __u64 charge)
{
	struct lock *lock = bpf_map_lookup_elem(&locks, &addr);
	if (!lock)
		return;
	bpf_spin_lock(&lock->guard);
	lock->debt_ns += charge;
	bpf_spin_unlock(&lock->guard);
}

/* Whether the call may wake more than one; its third argument says how many, but for FUTEX_UNLOCK_PI, which wakes one. */
static __always_inline int wakes_many(int nr, struct pt_regs *regs)
{
	return nr == NR_FUTEX && (int)ARG3(regs) > 1 &&
	       FUTEX_COMMAND(ARG2(regs)) != FUTEX_UNLOCK_PI;
}

/*
 * Whether `waker`, about to end the wait of `thread`, has already paid for this queue in the same call. Its first sleeper pays for
 * all of them; who has slept since before that one was woken was in the queue that was paid for, and a call that wakes
 * many leaves nobody there for a call to come.
 */
static __always_inline int pays_again(const struct cprof_wait_bpf_thread *thread, __u32 waker,
				      int many, __u64 now)
{
	struct cprof_wait_bpf_thread *payer = thread_get(waker);
	if (!payer)
		return 0;
	if (many && payer->paid_addr == thread->addr && thread->asleep_since_ns < payer->paid_ns)
		return 1;
	payer->paid_addr = thread->addr;
	payer->paid_ns = now;
	return 0;
}

/* An event, and behind it the stack from which the thread came. Only one program at a time on a CPU uses it. */
struct told {
	struct cprof_wait_bpf_event event;
	struct cprof_other_bpf other;
	__u64 words[CPROF_OTHER_BPF_BYTES / 8];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct told);
} scratch SEC(".maps");

/* An event, and behind it the context of the thread. */
struct told_context {
	struct cprof_wait_bpf_event event;
	struct context_scratch context;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct told_context);
} context_scratch SEC(".maps");

/* Where threads have theirs; set while running. */
struct cprof_context_place place;

static __attribute__((noinline)) __u64 read_context(struct told_context *told)
{
	return told ? context_read(&place, &told->context) : 0;
}

/* Of the thread that runs now. False: it has none. */
static __always_inline int tell_context(void *ctx, const struct cprof_wait_bpf_event *event)
{
	const __u32 zero = 0;
	struct told_context *told = place.how ? bpf_map_lookup_elem(&context_scratch, &zero) : 0;
	__u64 n = told ? read_context(told) : 0;
	if (!n || n > sizeof(told->context.event))
		return 0;
	told->event = *event;
	told->event.context = 1;
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, told, sizeof(told->event) + n);
	return 1;
}

/* Of the thread that runs now. */
static __always_inline void tell(void *ctx, const struct cprof_wait_bpf_event *event)
{
	const __u32 zero = 0;
	struct told *told = other_n_switches ? bpf_map_lookup_elem(&scratch, &zero) : 0;
	if (told) {
		struct pt_regs *regs =
			(struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
		int n = other_copy(regs->sp, &told->other, told->words);
		if (n >= 0 && n <= CPROF_OTHER_BPF_BYTES) {
			told->event = *event;
			bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, told,
					      sizeof(told->event) + sizeof(told->other) + n);
			return;
		}
	}
	if (!tell_context(ctx, event))
		bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, (void *)event,
				      sizeof(*event));
}

/* The sample that comes with it shows the releasing thread in its call. */
static __always_inline void tell_release(void *ctx, const struct cprof_wait_bpf_thread *thread,
					 __u32 waker, __u64 charge)
{
	__u64 rate = rate_ns;
	struct cprof_wait_bpf_event event = {
		.what = CPROF_WAIT_BPF_RELEASE,
		.tid = waker,
		.syscall = NR_FUTEX,
		.delay_ns = charge,
		.addr = thread->addr,
		.op = thread->op,
		.val = thread->val,
		.owner = thread->owner,
		.rate_ns = rate,
	};
	COUNT(releases, 1);
	if (keeps(charge, rate))
		tell(ctx, &event);
}

SEC("tp_btf/sched_waking")
int BPF_PROG(on_waking, struct task_struct *task)
{
	if (task->tgid != target_tgid)
		return 0;
	__u32 tid = task->pid;
	struct cprof_wait_bpf_thread *thread = bpf_map_lookup_elem(&threads, &tid);
	if (!thread || !thread->asleep_since_ns || thread->woken_ns)
		return 0;
	__u64 now = bpf_ktime_get_ns();
	thread->woken_ns = now;

	__u64 current = bpf_get_current_pid_tgid();
	__u32 waker_tid = (__u32)current;
	struct task_struct *waker = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(waker);
	int nr = SYSCALL_NR(regs);
	int by_release = current >> 32 == target_tgid && wakes(nr, ARG2(regs));
	if (by_release)
		thread->waker = waker_tid;
	if (!thread->lock_addr)
		return 0;
	__u32 owner = 0;
	__u64 charge =
		lock_end(thread->lock_addr, thread->asleep_since_ns, now, by_release, &owner);
	thread->lock_addr = 0;
	if (!by_release)
		return 0;
	/* A word that is no thread's number was no owner. */
	if (owner && (owner == waker_tid || bpf_map_lookup_elem(&threads, &owner))) {
		COUNT(owned, 1);
		if (owner == waker_tid)
			COUNT(agreed, 1);
	}
	if (pays_again(thread, waker_tid, wakes_many(nr, regs), now))
		lock_owe(thread->addr, charge);
	else
		tell_release(ctx, thread, waker_tid, charge);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	__u32 tid = task->pid;
	if (task->tgid != target_tgid)
		return 0;
	struct cprof_wait_bpf_thread *thread = bpf_map_lookup_elem(&threads, &tid);
	__u32 owner;
	if (thread && thread->lock_addr)
		lock_end(thread->lock_addr, thread->asleep_since_ns, bpf_ktime_get_ns(), 0, &owner);
	bpf_map_delete_elem(&threads, &tid);
	return 0;
}

static __always_inline void tell_wait(void *ctx, struct cprof_wait_bpf_thread *thread, __u32 tid)
{
	__u64 rate = rate_ns, delay_ns = thread->delay_ns, queue_ns = thread->queue_ns;
	thread->delay_ns = thread->queue_ns = 0;
	COUNT(waits, 1);
	COUNT(delay_ns, delay_ns);
	if (!keeps(delay_ns, rate))
		return;
	COUNT(kept, 1);
	struct cprof_wait_bpf_event event = {
		.what = CPROF_WAIT_BPF_WAIT,
		.tid = tid,
		.syscall = thread->syscall,
		.delay_ns = delay_ns,
		.queue_ns = queue_ns,
		.addr = thread->addr,
		.op = thread->op,
		.val = thread->val,
		.owner = thread->owner,
		.rate_ns = rate,
		.waker = thread->waker,
		.disk = thread->disk,
	};
	/* Read by the thread that waited: what its waker has left there tells a lock from a counter. */
	if (is_futex(thread->syscall))
		event.has_word =
			!bpf_probe_read_user(&event.word, sizeof(event.word), (void *)thread->addr);
	tell(ctx, &event);
}

static __always_inline void syscall_returns(void *ctx)
{
	__u64 current = bpf_get_current_pid_tgid();
	__u32 tid = (__u32)current;
	if (current >> 32 != target_tgid)
		return;
	struct cprof_wait_bpf_thread *thread = bpf_map_lookup_elem(&threads, &tid);
	if (!thread)
		return;
	if (tell_waits && thread->delay_ns)
		tell_wait(ctx, thread, tid);
	else
		thread->delay_ns = thread->queue_ns = 0;
}

/* A schedule() comes back in the thread that it was switched to; all that is known of it here are sleeps in scope. */
SEC("tp_btf/sched_exit_tp")
int BPF_PROG(on_resume)
{
	struct task_struct *task = bpf_get_current_task_btf();
	if (task->tgid != target_tgid)
		return 0;
	__u32 tid = task->pid;
	struct cprof_wait_bpf_thread *thread = bpf_map_lookup_elem(&threads, &tid);
	if (!thread || !thread->asleep_since_ns)
		return 0;
	end_sleep(ctx, thread, task, bpf_ktime_get_ns());
	if (thread->delay_ns)
		tell_wait(ctx, thread, tid);
	return 0;
}

/* Attached to sys_exit_futex and its kin; the default scope. */
SEC("tracepoint")
int on_futex_return(void *ctx)
{
	syscall_returns(ctx);
	return 1;
}

/* For -block all: the return of every system call of every process passes here, see docs/block.md for the price. */
SEC("tp_btf/sys_exit")
int BPF_PROG(on_any_return, struct pt_regs *regs, long ret)
{
	syscall_returns(ctx);
	return 0;
}
