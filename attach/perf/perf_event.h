/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/perf/perf_event.h - one perf event: opening it, its ring, and what its refusal means to a user.
 */
#ifndef CPROF_ATTACH_PERF_PERF_EVENT_H
#define CPROF_ATTACH_PERF_PERF_EVENT_H

#include <linux/perf_event.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach/perf/perf_ring.h"
#include "cprof/error.h"

/* A mapped ring and the descriptor it belongs to. */
struct cprof_perf_event_ring {
	int fd; /* owned */
	struct cprof_perf_ring ring;
	size_t map_bytes;
};

/*
 * An event into which BPF programs put records, each with the thread, the time by CLOCK_MONOTONIC and user registers; `more` of
 * PERF_SAMPLE_* besides.
 */
struct perf_event_attr cprof_perf_event_bpf_output(uint64_t more);

/* perf_event_open(2), close-on-exec. -1 and errno. */
int cprof_perf_event_open(struct perf_event_attr *attr, pid_t pid, int cpu, int group_fd);

/*
 * Map a ring of `bytes` (rounded to a power of two of pages) on `fd`, which it takes on success. Where the
 * memory that may be locked does not suffice (EPERM) half as much is tried, down to `least`. `*ret_ring` is allocated.
 */
struct cprof_error *cprof_perf_event_map(int fd, size_t bytes, size_t least,
					 struct cprof_perf_event_ring **ret_ring);
void cprof_perf_event_unmap(struct cprof_perf_event_ring *ring);

/* Samples this event could not write, by PERF_FORMAT_LOST; 0 where the kernel does not tell. */
uint64_t cprof_perf_event_lost(int fd);

/* kernel.perf_event_paranoid; 2 if it cannot be read. */
int cprof_perf_event_paranoid(void);

/* The error for a failed open, with the knob to turn in its hint. `what`: "event cpu-clock on process 12". */
struct cprof_error *cprof_perf_event_refused(int os_errno, const char *what);

#endif
