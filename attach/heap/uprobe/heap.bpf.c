/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * heap.bpf.c - counts the bytes that one process allocates, picks samples, and follows them until they are freed.
 *
 * The same law as attach/heap/shim/shim.c, which does this inside of the target: a countdown per thread, gaps exponential
 * with mean T, samples that fall on the allocator's calls of itself thrown away. Runs where uprobes are: at the entry
 * of each function, and at each instruction by which it can return. There the caller's registers are as they were,
 * and its stack has not changed, so that is the moment for copying both.
 *
 * Nothing in the target leads back to us: return addresses stay what they are. Entry and return of a call are told to belong
 * together by the stack pointer, which is the same at both, and not by the thread: a coroutine may change stacks in
 * the middle, and go on in another thread. What is noted under a stack pointer is believed only by the function that noted it, and
 * only while the same return address is there.
 *
 * The kernel runs this only for threads that share the target's memory: a uprobe that was opened for a task has its
 * breakpoints in that task's memory alone. What is left to see to is an exec, which makes it another memory.
 */
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "heap_bpf.h"

#define CORE __attribute__((preserve_access_index))

/* Linux kernel/events/uprobes.c and include/linux/uprobes.h: where the page [uprobes] is. */
struct xol_area {
	unsigned long vaddr;
} CORE;

struct uprobes_state {
	struct xol_area *xol_area;
} CORE;

struct mm_struct {
	struct uprobes_state uprobes_state;
} CORE;

struct task_struct {
	struct mm_struct *mm;
} CORE;

/* What a uprobe's program gets: all of them, as the thread has them. Linux arch/x86/include/uapi/asm/ptrace.h. */
struct registers {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8;
	unsigned long ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};

#define PAGE          4096u
#define PERIOD_NARROW (1ull << 32)

/*
 * The kernel gives some helpers (probe_read, perf_event_output) to programs with a GPL-compatible licence only, which Apache-2.0 is
 * not in its list. So this file has two, of which BSD-2-Clause lets it be part of an Apache-2.0 program; the string says both.
 */
char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set before loading. */
const volatile __u32 quantile[CPROF_HEAP_BPF_QUANTILES];
const volatile __u64 size_min, size_span = ~0ull; /* of the calls that are counted */

/* Changed while running. */
volatile __u64 period_bytes = 1;
volatile __u32 enabled;
struct cprof_heap_bpf_hook hooks[CPROF_HEAP_BPF_HOOKS];
struct cprof_heap_bpf_site sites[CPROF_HEAP_BPF_SITES];
struct cprof_heap_bpf_range ranges[CPROF_HEAP_BPF_RANGES];
struct cprof_heap_bpf_counts counts;
__u64 next_id = 1;
__u64 target_mm;

struct {
	__uint(type,
	       BPF_MAP_TYPE_LRU_HASH); /* who is thrown out draws a gap anew, which is as good */
	__uint(max_entries, 32768);
	__type(key, __u32);
	__type(value, struct cprof_heap_bpf_thread);
} threads SEC(".maps");

/*
 * Calls under way. Those that were left otherwise than by a return stay until the next call at their place, or until there is
 * no room: then the one that was looked at least recently goes.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384); /* more where every call is recorded */
	__type(key, __u64);         /* stack pointer at the entry; unique in one memory */
	__type(value, struct cprof_heap_bpf_note);
} notes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536); /* more where every call is recorded */
	__type(key, __u64);         /* address of a sampled block */
	__type(value, __u64);       /* the sample's id */
} live SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} samples SEC(".maps");

static __always_inline void add(__u64 *count, __u64 n)
{
	__sync_fetch_and_add(count, n);
}

/* ---- the countdown ---- */

/* The next gap: 12 random bits choose the step of the table, 20 the place in it; the last step has no end. */
static __always_inline void rearm(struct cprof_heap_bpf_thread *thread)
{
	__u64 period = period_bytes, units = 0; /* 24 fractional bits */

	thread->period = period;
	thread->left = 0;
	if (period <= CPROF_SHIM_EVERY)
		return;
	for (int again = 0; again < 4; again++) {
		__u32 x = bpf_get_prandom_u32();
		__u32 step = x >> 20, part = x & 0xfffff;
		if (step >= CPROF_HEAP_BPF_QUANTILES - 1) {
			units += quantile[CPROF_HEAP_BPF_QUANTILES - 1];
			continue;
		}
		__u64 low = quantile[step], high = quantile[step + 1];
		units += low + (((high - low) * part) >> 20);
		break;
	}
	/* 30 bits of units times 32 of the period fit; a longer period does without its last bits. */
	if (period < PERIOD_NARROW)
		thread->left = ((units * period) >> 24) + 1;
	else
		thread->left = ((units * (period >> 12)) >> 12) + 1;
}

static __always_inline struct cprof_heap_bpf_thread *thread_get(void)
{
	static const struct cprof_heap_bpf_thread empty;
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct cprof_heap_bpf_thread *thread = bpf_map_lookup_elem(&threads, &tid);
	if (thread)
		return thread;
	bpf_map_update_elem(&threads, &tid, &empty, BPF_NOEXIST);
	thread = bpf_map_lookup_elem(&threads, &tid);
	if (thread)
		rearm(thread);
	return thread;
}

/* ---- the living ---- */

/* The sample's id, or 0 if `ptr` is no sampled block. Done before the block is freed. */
static __always_inline __u64 live_remove(__u64 ptr)
{
	__u64 *at = ptr ? bpf_map_lookup_elem(&live, &ptr) : 0;
	if (!at)
		return 0;
	__u64 id = *at;
	return bpf_map_delete_elem(&live, &ptr) ? 0 : id;
}

static __always_inline void live_insert(__u64 ptr, __u64 id)
{
	if (bpf_map_update_elem(&live, &ptr, &id, BPF_ANY))
		add(&counts.table_full, 1);
}

/* ---- entry ---- */

/* A load from the context must name its place; the compiler would like to do them all by one with a place computed. */
#define LOAD(member)                                                                               \
	({                                                                                         \
		__u64 loaded = regs->member;                                                       \
		barrier_var(loaded);                                                               \
		loaded;                                                                            \
	})

static __always_inline __u64 argument(const struct registers *regs,
				      const struct cprof_shim_operand *operand)
{
	__u64 value = 0;
	if (operand->arg == 0)
		value = LOAD(di);
	else if (operand->arg == 1)
		value = LOAD(si);
	else if (operand->arg == 2)
		value = LOAD(dx);
	else if (operand->arg == 3)
		value = LOAD(cx);
	else if (operand->arg == 4)
		value = LOAD(r8);
	else if (operand->arg == 5)
		value = LOAD(r9);
	return operand->low ? (__u32)value : value;
}

static __always_inline __u64 product(__u64 n, __u64 size)
{
	__u64 most = n ? ~0ull / n : 0;
	barrier_var(most); /* else the compiler makes it a product of 128 bits, which BPF has not */
	return size > most ? 0 : n * size; /* what overflows will not be served */
}

static __always_inline __u64 pool_size(const struct registers *regs,
				       const struct cprof_shim_pool *pool)
{
	if (pool->size.arg == CPROF_SHIM_NO_ARG)
		return pool->bytes;
	__u64 size = argument(regs, &pool->size);
	if (pool->times.arg != CPROF_SHIM_NO_ARG)
		return product(size, argument(regs, &pool->times));
	return pool->bytes ? product(size, pool->bytes) : size;
}

static __always_inline __u64 requested(const struct registers *regs,
				       const struct cprof_heap_bpf_hook *hook)
{
	switch (hook->kind) {
	case CPROF_SHIM_ARG1:
	case CPROF_SHIM_REALLOC:
	case CPROF_SHIM_XALLOC:
		return LOAD(si);
	case CPROF_SHIM_POSIX_MEMALIGN:
		return LOAD(dx);
	case CPROF_SHIM_CALLOC:
		return product(LOAD(di), LOAD(si));
	case CPROF_SHIM_POOL:
	case CPROF_SHIM_POOL_REALLOC:
		return pool_size(regs, &hook->pool);
	default:
		return LOAD(di);
	}
}

/* The block that this call frees or moves; 0: none. */
static __always_inline __u64 old_block(const struct registers *regs,
				       const struct cprof_heap_bpf_hook *hook)
{
	switch (hook->kind) {
	case CPROF_SHIM_REALLOC:
	case CPROF_SHIM_XALLOC:
	case CPROF_SHIM_FREE:
		return LOAD(di);
	case CPROF_SHIM_POOL_REALLOC:
	case CPROF_SHIM_POOL_FREE:
		return argument(regs, &hook->pool.old);
	default:
		return 0;
	}
}

static __always_inline int in_ranges(__u64 ret)
{
	for (int i = 0; i < CPROF_HEAP_BPF_RANGES; i++) {
		if (ret - ranges[i].start < ranges[i].end - ranges[i].start)
			return 1;
	}
	return 0;
}

/* Does the call that was noted at this place go on, by a jump to another function? */
static __always_inline int goes_on(const struct cprof_heap_bpf_note *note, __u32 index, __u64 ret)
{
	return note && note->hook != index && note->ret == ret;
}

/*
 * A call that the allocator makes itself while it serves another one that was counted already: from its own code, or
 * by a jump, with the return address and the stack pointer of the call before. As each return is seen, a mark that is
 * still there is of a call that goes on.
 */
static __always_inline int nested(const struct cprof_heap_bpf_thread *thread, __u32 index, __u64 sp,
				  __u64 ret)
{
	if (thread->mark_hook != index && thread->mark_sp == sp && thread->mark_ret == ret)
		return 1;
	return in_ranges(ret);
}

/* The frame that `note` is of is gone: another call begins at its place. */
static __always_inline void forget(__u64 sp, const struct cprof_heap_bpf_note *note)
{
	if (note->sampled)
		add(&counts.left, 1);
	bpf_map_delete_elem(&notes, &sp);
}

static __always_inline void write_note(__u64 sp, const struct cprof_heap_bpf_note *note)
{
	if (!bpf_map_update_elem(&notes, &sp, note, BPF_ANY)) {
		if (note->sampled)
			add(&counts.noted, 1);
	} else if (note->sampled) {
		add(&counts.lost, 1);
		add(&counts.lost_bytes, note->size);
	}
}

static __always_inline void begin(const struct registers *regs, __u32 index,
				  const struct cprof_heap_bpf_hook *hook)
{
	__u64 old = old_block(regs, hook);
	if (cprof_shim_frees(hook->kind)) {
		add(&counts.frees, 1);
		live_remove(old);
		return;
	}
	add(&counts.calls, 1);
	struct cprof_heap_bpf_thread *thread = thread_get();
	if (!thread)
		return;

	__u64 old_id = live_remove(old);
	__u64 size = requested(regs, hook), period = thread->period;
	int fired = 0;
	if (size - size_min > size_span)
		; /* not of the sizes that are asked for */
	else if (size >= thread->left) {
		fired = 1;
		rearm(thread);
	} else
		thread->left -= size;

	__u64 sp = regs->sp, ret = 0;
	bpf_probe_read_user(&ret, sizeof(ret), (void *)sp);
	const struct cprof_heap_bpf_note *before = bpf_map_lookup_elem(&notes, &sp);
	const int jumped = goes_on(before, index, ret);
	if (before && !jumped)
		forget(sp, before);
	if (fired && (jumped || nested(thread, index, sp, ret))) {
		add(&counts.nested, 1);
		fired = 0;
	}
	thread->mark_sp = sp;
	thread->mark_ret = ret;
	thread->mark_hook = index;
	if (jumped || (!fired && !old_id))
		return;
	const struct cprof_heap_bpf_note note = {
		.ret = ret,
		.size = size,
		.period = period,
		.old = old,
		.old_id = old_id,
		.out = regs->di,
		.hook = index,
		.sampled = fired,
	};
	write_note(sp, &note);
}

/* ---- return ---- */

/* As far as it is there and there is room: to the end of the page, then page by page. */
static __always_inline __u32 copy_stack(__u8 *to, __u64 sp)
{
	__u32 n = PAGE - (sp & (PAGE - 1));
	if (bpf_probe_read_user(to, n, (void *)sp))
		return 0;
	for (int i = 0; i < CPROF_HEAP_BPF_STACK / PAGE; i++) {
		if (n > CPROF_HEAP_BPF_STACK - PAGE)
			break;
		if (bpf_probe_read_user(to + n, PAGE, (void *)(sp + n)))
			break;
		n += PAGE;
	}
	return n;
}

/* The block is there and its caller does not have it yet: nobody can free it while it is noted. */
static __always_inline void sample(const struct registers *regs, __u64 sp,
				   const struct cprof_heap_bpf_note *note, __u64 ptr)
{
	struct cprof_heap_bpf_event *event = bpf_ringbuf_reserve(&samples, sizeof(*event), 0);
	if (!event) {
		add(&counts.lost, 1);
		add(&counts.lost_bytes, note->size);
		return;
	}
	event->id = __sync_fetch_and_add(&next_id, 1);
	event->ptr = ptr;
	event->size = note->size;
	event->period = note->period;
	event->sp = sp;
	event->ret = note->ret;
	event->rbx = regs->bx;
	event->rbp = regs->bp;
	event->r12 = regs->r12;
	event->r13 = regs->r13;
	event->r14 = regs->r14;
	event->r15 = regs->r15;
	event->hook = note->hook;
	event->stack_bytes = copy_stack(event->stack, sp);
	/* Another tool may have had the kernel put an address of its own there, to see the return. */
	*(__u64 *)event->stack = note->ret;
	__u32 index = note->hook;
	if (index < CPROF_HEAP_BPF_HOOKS && !hooks[index].pool.untracked)
		live_insert(ptr, event->id);
	bpf_ringbuf_submit(event, 0);
}

static __always_inline __u64 block(const struct registers *regs,
				   const struct cprof_heap_bpf_note *note, __u32 at)
{
	__u32 index = note->hook;
	__u64 ptr = LOAD(ax);
	if (at == CPROF_HEAP_BPF_AT_FIRST)
		return LOAD(di);
	if (at == CPROF_HEAP_BPF_AT_NONE || index >= CPROF_HEAP_BPF_HOOKS)
		return 0;
	if (hooks[index].kind == CPROF_SHIM_XALLOC)
		return ptr >= note->size ? note->old : 0;
	if (hooks[index].kind != CPROF_SHIM_POSIX_MEMALIGN)
		return ptr;
	if ((__u32)ptr || bpf_probe_read_user(&ptr, sizeof(ptr), (void *)note->out))
		return 0;
	return ptr;
}

/* Is that where the kernel has returns go that another tool's uretprobe wants to see? */
static __always_inline int is_trampoline(__u64 ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	if (!bpf_core_field_exists(struct xol_area, vaddr) ||
	    !bpf_core_field_exists(struct mm_struct, uprobes_state))
		return 0;
	__u64 page = BPF_CORE_READ(task, mm, uprobes_state.xol_area, vaddr);
	return page && ret - page < PAGE;
}

/* The return address is still on the stack, and if it is the one of the call that was noted here, that call ends. */
static __always_inline void end(const struct registers *regs, __u32 index, __u32 at)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	__u64 sp = regs->sp, ret = 0;
	struct cprof_heap_bpf_thread *thread = bpf_map_lookup_elem(&threads, &tid);
	if (thread && thread->mark_sp == sp)
		thread->mark_sp = 0;
	const struct cprof_heap_bpf_note *there = bpf_map_lookup_elem(&notes, &sp);
	if (!there || there->hook != index)
		return;
	bpf_probe_read_user(&ret, sizeof(ret), (void *)sp);
	if (ret != there->ret && !is_trampoline(ret))
		return;
	const struct cprof_heap_bpf_note note = *there;
	bpf_map_delete_elem(&notes, &sp);
	if (note.sampled)
		add(&counts.told, 1);
	__u64 ptr = block(regs, &note, at);
	if (!ptr && note.old_id && note.size)
		live_insert(note.old, note.old_id); /* realloc failed: it lives on */
	if (ptr && note.sampled)
		sample(regs, sp, &note, ptr);
}

/* The memory that the first call is in is the target's; after an exec it is another one. */
static __always_inline int same_program(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 mm = (__u64)task->mm;
	if (target_mm == mm)
		return !counts.exec;
	if (!target_mm && !__sync_val_compare_and_swap(&target_mm, 0, mm))
		return 1;
	if (target_mm == mm)
		return 1;
	counts.exec = 1;
	return 0;
}

/* ---- the program's own probes ---- */

static __always_inline __u64 register_value(const struct registers *regs, __u8 number)
{
	switch (number) {
	case 0:
		return LOAD(ax);
	case 1:
		return LOAD(bx);
	case 2:
		return LOAD(cx);
	case 3:
		return LOAD(dx);
	case 4:
		return LOAD(si);
	case 5:
		return LOAD(di);
	case 6:
		return LOAD(bp);
	case 7:
		return LOAD(sp);
	case 8:
		return LOAD(r8);
	case 9:
		return LOAD(r9);
	case 10:
		return LOAD(r10);
	case 11:
		return LOAD(r11);
	case 12:
		return LOAD(r12);
	case 13:
		return LOAD(r13);
	case 14:
		return LOAD(r14);
	case 15:
		return LOAD(r15);
	default:
		return 0;
	}
}

static __always_inline __u64 extended(__u64 value, const struct cprof_usdt_operand *operand)
{
	__u32 shift = (64 - 8 * operand->bytes) & 63;
	value <<= shift;
	return operand->is_signed ? (__u64)((__s64)value >> shift) : value >> shift;
}

static __noinline __u64 operand_value(struct registers *regs, __u32 index, __u32 n)
{
	__u64 value = 0;
	if (index >= CPROF_HEAP_BPF_SITES || n >= CPROF_USDT_ARGS)
		return 0;
	const struct cprof_usdt_operand *operand = &sites[index].args[n];
	if (operand->kind == CPROF_USDT_CONSTANT)
		return extended((__u64)operand->value, operand);
	if (operand->kind == CPROF_USDT_REGISTER)
		return extended(register_value(regs, operand->base), operand);
	__u64 addr = register_value(regs, operand->base) + (__u64)operand->value +
		     register_value(regs, operand->index) * operand->scale;
	if (bpf_probe_read_user(&value, sizeof(value), (void *)addr)) {
		/* It may be the last thing before the end of a mapping. */
		value = 0;
		__u32 bytes = operand->bytes;
		if (bytes > 4 || bpf_probe_read_user(&value, bytes & 7, (void *)addr))
			return 0;
	}
	return extended(value, operand);
}

/* The allocator samples by its own law, and says what the sample stands for. */
static __always_inline void take_sample(struct registers *regs, __u32 index)
{
	__u64 size = operand_value(regs, index, 1), weight = operand_value(regs, index, 2);
	__u64 ptr = operand_value(regs, index, 0);
	add(&counts.calls, 1);
	if (!ptr || size - size_min > size_span)
		return;
	struct cprof_heap_bpf_event *event = bpf_ringbuf_reserve(&samples, sizeof(*event), 0);
	if (!event) {
		add(&counts.lost, 1);
		add(&counts.lost_bytes, size);
		return;
	}
	event->id = __sync_fetch_and_add(&next_id, 1);
	event->ptr = ptr;
	event->size = size;
	event->period = weight;
	event->sp = regs->sp;
	event->ret = regs->ip;
	event->rbx = regs->bx;
	event->rbp = regs->bp;
	event->r12 = regs->r12;
	event->r13 = regs->r13;
	event->r14 = regs->r14;
	event->r15 = regs->r15;
	event->hook = CPROF_HEAP_BPF_SITE_HOOK | index;
	event->stack_bytes = copy_stack(event->stack, regs->sp);
	live_insert(ptr, event->id);
	bpf_ringbuf_submit(event, 0);
}

static __always_inline void at_site(struct registers *regs, __u32 index, __u32 at)
{
	if (index >= CPROF_HEAP_BPF_SITES || regs->ip != sites[index].addr)
		return;
	if (at == CPROF_HEAP_BPF_AT_ALLOC) {
		take_sample(regs, index);
		return;
	}
	add(&counts.frees, 1);
	live_remove(operand_value(regs, index, 0));
}

/* Entry and return come to the same program. 0 keeps a perf event of ours from writing samples nobody reads. */
SEC("uprobe")
int on_call(struct registers *regs)
{
	__u64 cookie = bpf_get_attach_cookie(regs);
	__u32 index = cookie & CPROF_HEAP_BPF_INDEX, at = cookie & CPROF_HEAP_BPF_AT;

	if (!enabled || index >= CPROF_HEAP_BPF_HOOKS || !same_program())
		return 0;
	if (at >= CPROF_HEAP_BPF_AT_ALLOC) {
		at_site(regs, index, at);
		return 0;
	}
	const struct cprof_heap_bpf_hook *hook = &hooks[index];
	if (at != CPROF_HEAP_BPF_AT_ENTRY)
		end(regs, index, at);
	else if (regs->ip == hook->addr) /* the file may be mapped a second time */
		begin(regs, index, hook);
	return 0;
}
