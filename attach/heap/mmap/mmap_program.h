/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/mmap/mmap_program.h - the calls by which one process maps memory, picked out by a BPF program for all its threads at once.
 *
 * mmap_calls.h takes this way first: it needs as many descriptors for five thousand threads as for one, and ends at once, where the
 * kernel takes some 50 ms to close each event of a tracepoint. It needs CAP_BPF and CAP_PERFMON.
 */
#ifndef CPROF_ATTACH_HEAP_MMAP_MMAP_PROGRAM_H
#define CPROF_ATTACH_HEAP_MMAP_MMAP_PROGRAM_H

#include <sys/types.h>

#include "attach/perf/perf_source.h"
#include "cprof/error.h"

struct cprof_mmap_program;

/*
 * Tells of process `pid` from now on, as samples of both sources: calls that map in `with_stack`, at their return, and calls that
 * unmap in the other one, where they begin. The sources are opened by cprof_mmap_program_attr() and row "cpu", and stay open for as
 * long. Errors: DENIED, UNSUPPORTED (the kernel, or a namespace of ours), OS, NO_MEMORY.
 */
struct cprof_error *cprof_mmap_program_open(pid_t pid, const struct cprof_perf_source *with_stack,
					    const struct cprof_perf_source *without_stack,
					    struct cprof_mmap_program **ret_program);
void cprof_mmap_program_close(struct cprof_mmap_program *program);

/* What such a source counts. */
struct perf_event_attr cprof_mmap_program_attr(void);

/* The number of a sample's call; -1: it tells none. Pure. */
int cprof_mmap_program_call(const struct cprof_perf_record *record);

#endif
