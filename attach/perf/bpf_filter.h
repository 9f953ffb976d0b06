/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/perf/bpf_filter.h - a BPF program that lets only the samples of some processes through.
 *
 * Loaded with plain bpf(2): a handful of instructions per process, no maps, no BTF. A process is known by its id
 * in its own PID namespace together with that namespace, so it does not matter in which one we are: the
 * kernel's plain "current pid" helper tells the outermost id, which a container cannot know.
 *
 * Source: bpf-helpers(7) bpf_get_ns_current_pid_tgid (v5.7); include/uapi/linux/bpf.h.
 */
#ifndef CPROF_ATTACH_PERF_BPF_FILTER_H
#define CPROF_ATTACH_PERF_BPF_FILTER_H

#include <stddef.h>

#include "attach/target/target.h"
#include "cprof/error.h"

/*
 * Load it for these processes; `*ret_fd` is the caller's, for PERF_EVENT_IOC_SET_BPF. It returns 1 for
 * their samples and 0 for others, which only the event it is set on loses. Before it returns 1 it calls slot CPROF_BPF_EMIT_CONTEXT of the
 * array `programs_fd` (bpf_emit.h), if somebody is there, who returns in its place; -1: no array. Errors: DENIED (CAP_BPF and CAP_PERFMON),
 * UNSUPPORTED.
 */
struct cprof_error *cprof_bpf_filter_load(struct cprof_target *const *targets, size_t n,
					  int programs_fd, int *ret_fd);

#endif
