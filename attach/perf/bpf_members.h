/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/perf/bpf_members.h - a BPF program that keeps the samples of a set of processes, who may come and go while it runs.
 *
 * As bpf_filter.h, but its cost does not grow with the processes: their ids are in a hash map, by PID namespace, since a process is asked
 * for its id in its own one. For a namespace that is new the program is made anew; the events go on with a stub that calls
 * whichever is the last.
 *
 * Sources: bpf(2), bpf-helpers(7) "bpf_get_ns_current_pid_tgid", "bpf_map_lookup_elem", "bpf_tail_call".
 */
#ifndef CPROF_ATTACH_PERF_BPF_MEMBERS_H
#define CPROF_ATTACH_PERF_BPF_MEMBERS_H

#include <stddef.h>
#include <stdint.h>

#include "attach/target/target.h"
#include "cprof/error.h"

#define CPROF_BPF_MEMBERS_MAX        2048
#define CPROF_BPF_MEMBERS_NAMESPACES 256

struct cprof_bpf_members {
	int map_fd;      /* owned */
	int programs_fd; /* owned; for who is called for samples that are kept, as in bpf_filter.h */
	int filter_fd;   /* owned; for PERF_EVENT_IOC_SET_BPF */
	struct cprof_bpf_members_namespace {
		uint64_t dev, inode;
	} * namespaces; /* owned */
	size_t n_namespaces;
};

/* Nobody is a member yet. Errors: DENIED, UNSUPPORTED, OS, NO_MEMORY; it can be closed all the same. */
struct cprof_error *cprof_bpf_members_open(struct cprof_bpf_members *members);
void cprof_bpf_members_close(struct cprof_bpf_members *members);

/* Errors: DENIED (its PID namespace cannot be seen), UNSUPPORTED (as many members or namespaces as may be are), OS. */
struct cprof_error *cprof_bpf_members_add(struct cprof_bpf_members *members,
					  const struct cprof_target *target);
void cprof_bpf_members_remove(struct cprof_bpf_members *members, const struct cprof_target *target);

#endif
