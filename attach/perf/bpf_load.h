/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/perf/bpf_load.h - what stands in the way of a BPF program about threads, in words for a user.
 */
#ifndef CPROF_ATTACH_PERF_BPF_LOAD_H
#define CPROF_ATTACH_PERF_BPF_LOAD_H

#include "cprof/error.h"

/* Task and thread ids inside the kernel are those of the first namespace; elsewhere ours mean nothing to it: UNSUPPORTED. */
struct cprof_error *cprof_bpf_check_namespace(void);

/* What loading or attaching a program has ended with, an errno; 0: NULL. DENIED with a hint, else UNSUPPORTED: the kernel lacks something. */
struct cprof_error *cprof_bpf_load_error(int os_errno);

#endif
