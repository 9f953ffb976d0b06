/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * context.bpf.c - behind the filter of perf samples: the context of the thread that is being sampled goes into the same ring, right
 * before its sample.
 *
 * The filter (attach/perf/bpf_filter.c, attach/perf/bpf_members.c) calls it for samples that are kept.
 */
#include "attach/context/context_read.bpf.h"

#define CORE __attribute__((preserve_access_index))

struct ns_common {
	unsigned int inum;
} CORE;
struct pid_namespace {
	struct ns_common ns;
} CORE;
struct upid {
	int nr;
	struct pid_namespace *ns;
} CORE;
struct pid {
	unsigned int level;
	struct upid numbers[1];
} CORE;
struct task_struct {
	struct task_struct *group_leader;
	struct pid *thread_pid;
} CORE;

/* As in attach/waits/wait.bpf.c: helpers are given to GPL-compatible programs only. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct cprof_context_key);
	__type(value, struct cprof_context_place);
} places SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct context_scratch);
} scratches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} events SEC(".maps");

/* The process of the running thread, in the innermost PID namespace that it is in. */
static __always_inline int find_key(struct cprof_context_key *key)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);
	if (!pid)
		return 0;
	__u64 level = BPF_CORE_READ(pid, level);
	struct upid *upid = (void *)((char *)pid + bpf_core_field_offset(pid->numbers) +
				     level * bpf_core_type_size(struct upid));
	key->namespace_inode = BPF_CORE_READ(upid, ns, ns.inum);
	key->pid = BPF_CORE_READ(upid, nr);
	return 1;
}

SEC("perf_event")
int on_sample(void *ctx)
{
	struct cprof_context_key key = {};
	__u32 first = 0;
	if (!find_key(&key))
		return 1;
	const struct cprof_context_place *place = bpf_map_lookup_elem(&places, &key);
	struct context_scratch *scratch = bpf_map_lookup_elem(&scratches, &first);
	if (!place || !scratch)
		return 1;
	__u64 n = context_read(place, scratch);
	if (n)
		bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &scratch->event, n);
	return 1;
}
