/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/waits/wait_bpf.h - what the BPF program of the block and mutex modes (wait.bpf.c) and wait_tier_bpf.c say to each
 * other.
 *
 * Compiled on both sides, so it uses the kernel's integer names only and every struct has a fixed size.
 */
#ifndef CPROF_ATTACH_WAITS_WAIT_BPF_H
#define CPROF_ATTACH_WAITS_WAIT_BPF_H

#include <linux/types.h>

enum {
	CPROF_WAIT_BPF_WAIT,    /* a wait that is over; the stack is the waiter's */
	CPROF_WAIT_BPF_RELEASE, /* a futex wake that ended waits; the stack is the waker's */
	CPROF_WAIT_BPF_FAULT, /* a thread falls asleep outside of system calls; its times follow in FAULT_END */
	CPROF_WAIT_BPF_FAULT_END,
};

/* The raw part of a sample; user registers and stack come beside it. */
struct cprof_wait_bpf_event {
	__u64 delay_ns; /* asleep, or what the release is charged with */
	__u64 queue_ns; /* woken and waiting for a CPU */
	__u64 addr;
	__u64 rate_ns; /* the rate this one was kept by */
	__u32 what;
	__u32 tid; /* of the initial namespace, as all here */
	__s32 syscall;
	__u32 op;
	__u32 val;    /* of FAULT_END: how many faults it stands for */
	__u32 owner;  /* the word behind the futex word when the wait began */
	__u32 serial; /* joins FAULT and FAULT_END of one thread */
	__u32 waker;  /* thread of the target whose futex call ended the wait; 0: none did */
	__u32 word;   /* the futex word as the thread goes on */
	__u32 has_word;
	__u32 disk; /* asleep until a disk answers, as the kernel's iowait has it */
	__u32 context; /* what follows is a context (context_bpf.h), else another stack (other_stack_event.h) */
};

/* What the program knows of a thread that sleeps or has slept in its present system call. */
struct cprof_wait_bpf_thread {
	__u64 asleep_since_ns; /* CLOCK_MONOTONIC; 0: not asleep */
	__u64 woken_ns;        /* 0: not yet */
	__u64 delay_ns;        /* earlier sleeps of the same call */
	__u64 queue_ns;
	__u64 addr;
	__u64 lock_addr; /* counted in locks under this address; 0: not counted */
	__u64 paid_addr; /* as a waker: the lock that it paid for last, and when */
	__u64 paid_ns;
	__s32 syscall;
	__u32 op, val, owner;
	__u32 serial;
	__u32 unsure; /* written from outside, for a wait that had begun before: it may have ended meanwhile */
	__u32 waker, disk; /* as in the event */
};

/* Kept for each CPU (modulo CPROF_WAIT_BPF_CPUS), or they would fight for the memory: the sum is what counts. */
#define CPROF_WAIT_BPF_CPUS 64
struct cprof_wait_bpf_counts {
	__u64 waits; /* seen, kept or not */
	__u64 kept;
	__u64 releases;
	__u64 owned;    /* of mutexes that named an owner before */
	__u64 agreed;   /* and that one released it */
	__u64 full;     /* a thread or a lock had no room in its map */
	__u64 delay_ns; /* of all waits seen: what the estimates should add up to */
} __attribute__((aligned(64)));

#endif
