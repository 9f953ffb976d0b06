/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/wall/ledger_bpf.h - what the BPF program of the wall mode (ledger.bpf.c) and ledger_source_bpf.c say to each other.
 *
 * Compiled on both sides, so it uses the kernel's integer names only and every struct has a fixed size.
 */
#ifndef CPROF_ATTACH_WALL_LEDGER_BPF_H
#define CPROF_ATTACH_WALL_LEDGER_BPF_H

#include <linux/types.h>

/* What a thread is at a moment; each nanosecond of its life is in one of these. */
enum {
	CPROF_LEDGER_ON_CPU,
	CPROF_LEDGER_PREEMPTED, /* runnable: it was put off its CPU, or is new */
	CPROF_LEDGER_WOKEN,     /* runnable: it has slept, and has not run since */
	CPROF_LEDGER_BLOCKED,
	CPROF_LEDGER_STOPPED, /* by a signal, a tracer or the freezer of its cgroup */
	CPROF_LEDGER_STATES,
};

#define CPROF_LEDGER_THREADS_MAX 65536

struct cprof_ledger_bpf_thread {
	__u64 ns[CPROF_LEDGER_STATES]; /* in the window, from mark_ns up to since_ns */
	__u64 since_ns;                /* CLOCK_MONOTONIC; it has been in `state` since */
	__u64 mark_ns;                 /* all before has been told; 0: before anybody looked */
	__u64 tell_ns;  /* with the first change from then on it is told what there is */
	__u64 ended_ns; /* 0: not yet */
	__u64 runs;     /* times that it was put on a CPU in the window, since mark_ns */
	__u32 state;
	__u32 told;    /* how often it has been */
	char name[16]; /* where it has ended */
};

/* What is told, in order: the row of a thread as it was at `now_ns`, before it begins anew from there. */
struct cprof_ledger_bpf_told {
	struct cprof_ledger_bpf_thread thread;
	__u64 now_ns;
	__u32 tid;
	__u32 pad;
};

/* A thread that is younger is not told of: most such never get old, and are one row at their end. */
#define CPROF_LEDGER_YOUNG_NS   100000000ull
#define CPROF_LEDGER_TOLD_BYTES (1u << 20)

#endif
