/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/perf/pieces_bpf.h - what the BPF program of CPU samples of Go programs (pieces.bpf.c) and perf_pieces.c say to each other.
 *
 * Compiled on both sides, so it uses the kernel's integer names only and every struct has a fixed size.
 */
#ifndef CPROF_ATTACH_PERF_PIECES_BPF_H
#define CPROF_ATTACH_PERF_PIECES_BPF_H

#include "attach/perf/other_stack_event.h"

/* Of an array of programs (bpf_emit.h) this one is called in the end, if it is there. */
#define CPROF_PIECES_BPF_NEXT     1
#define CPROF_PIECES_BPF_PROGRAMS 2

/* Told in the same interrupt as the sample that it belongs to, with other.n bytes behind it. */
struct cprof_pieces_bpf_event {
	__u64 mono_ns; /* CLOCK_MONOTONIC, as the sample's time is */
	__u64 sp;      /* the sample's stack pointer */
	struct cprof_other_bpf other;
};

#endif
