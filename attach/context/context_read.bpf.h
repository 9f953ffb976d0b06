/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * attach/context/context_read.bpf.h - for BPF programs: copy the context of the thread that is running here.
 *
 * Only at a moment when this thread stands still: in a perf event's interrupt, or while it is inside the kernel. Nobody but the thread
 * itself writes its context, so what is read then is whole. Memory that is not there is no context; nothing is ever faulted in.
 */
#ifndef CPROF_ATTACH_CONTEXT_CONTEXT_READ_BPF_H
#define CPROF_ATTACH_CONTEXT_CONTEXT_READ_BPF_H

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "attach/context/context_bpf.h"

/* Go up to 1.23: a bucket of a map of strings, runtime/map.go "bmap". */
#define GO_BUCKET         272
#define GO_BUCKET_KEYS    8
#define GO_BUCKET_VALUES  136
#define GO_BUCKET_SLOTS   8
#define GO_BUCKET_MORE    264 /* another bucket of the same place, or 0 */
#define GO_BUCKETS_MAX    4   /* that are read */
#define GO_TOPHASH_USED   5   /* "minTopHash" */
#define GO_MAP_LOG2_AT    9   /* of "hmap" */
#define GO_MAP_BUCKETS_AT 16

struct go_string {
	__u64 at, n;
};

struct context_scratch {
	struct cprof_context_event event;
	__u8 bucket[GO_BUCKET];
};

#if defined(__TARGET_ARCH_x86)
struct thread_struct___context {
	unsigned long fsbase;
} __attribute__((preserve_access_index));
#define THREAD_POINTER thread.fsbase
#else
struct thread_user___context {
	unsigned long tp_value;
} __attribute__((preserve_access_index));
struct thread_struct___context {
	struct thread_user___context uw;
} __attribute__((preserve_access_index));
#define THREAD_POINTER thread.uw.tp_value
#endif
struct task_struct___context {
	struct thread_struct___context thread;
} __attribute__((preserve_access_index));

static __always_inline __u64 thread_pointer(void)
{
	struct task_struct___context *task = (void *)bpf_get_current_task();
	return BPF_CORE_READ(task, THREAD_POINTER);
}

static __always_inline __u64 read_word(__u64 addr)
{
	__u64 word = 0;
	return bpf_probe_read_user(&word, sizeof(word), (void *)addr) ? 0 : word;
}

/* ---- OTEP 4947 ---- */

/* Where the variable is of this thread; 0: it has none yet. */
static __always_inline __u64 find_variable(const struct cprof_context_place *place, __u64 tp)
{
	if (place->how == CPROF_CONTEXT_FIXED)
		return tp + place->offset;
	__u64 dtv = read_word(tp + place->dtv_at);
	if (!dtv || read_word(dtv + place->dtv_count_at) < place->module)
		return 0;
	__u64 block = read_word(dtv + (__u64)place->module * place->dtv_entry);
	return block && block != ~0ull ? block + place->offset : 0;
}

static __always_inline void read_record(struct cprof_context_event *event, __u64 record)
{
	__u8 *data = event->data;
	if (!record || bpf_probe_read_user(data, CPROF_CONTEXT_HEAD, (void *)record) ||
	    data[CPROF_CONTEXT_VALID_AT] != 1)
		return;
	__u64 n = data[CPROF_CONTEXT_SIZE_AT] | (__u64)data[CPROF_CONTEXT_SIZE_AT + 1] << 8;
	if (n > CPROF_CONTEXT_ATTRIBUTES) {
		n = CPROF_CONTEXT_ATTRIBUTES;
		event->cut = 1;
	}
	if (n && bpf_probe_read_user(data + CPROF_CONTEXT_HEAD, n,
				     (void *)(record + CPROF_CONTEXT_HEAD))) {
		n = 0;
		event->cut = 1;
	}
	event->n = CPROF_CONTEXT_HEAD + n;
}

/* ---- Go ---- */

static __always_inline __u64 put_string(__u8 *to, const struct go_string *string, __u64 most)
{
	__u64 n = string->n > most ? most : string->n;
	return bpf_probe_read_user(to, n, (void *)string->at) ? 0 : n;
}

static __always_inline void put_label(struct cprof_context_event *event,
				      const struct go_string *key, const struct go_string *value)
{
	__u32 at = event->n;
	if (at > CPROF_CONTEXT_DATA - sizeof(struct cprof_context_go_label) - CPROF_CONTEXT_GO_KEY -
			 CPROF_CONTEXT_GO_VALUE - 3) {
		event->cut = 1;
		return;
	}
	if (key->n > CPROF_CONTEXT_GO_KEY || value->n > CPROF_CONTEXT_GO_VALUE)
		event->cut = 1;
	struct cprof_context_go_label head;
	__u8 *data = event->data + at;
	__u64 key_n = put_string(data + sizeof(head), key, CPROF_CONTEXT_GO_KEY);
	if (!key_n)
		return;
	__u64 value_n = put_string(data + sizeof(head) + key_n, value, CPROF_CONTEXT_GO_VALUE);
	head.key_n = key_n;
	head.value_n = value_n;
	__builtin_memcpy(data, &head, sizeof(head));
	event->n = at + sizeof(head) + key_n + value_n;
}

static __always_inline void read_go_list(struct cprof_context_event *event, __u64 labels)
{
	struct go_string list, label[2];
	if (bpf_probe_read_user(&list, sizeof(list), (void *)labels))
		return;
	for (int i = 0; i < CPROF_CONTEXT_GO_LABELS && i < list.n; i++) {
		if (!bpf_probe_read_user(label, sizeof(label),
					 (void *)(list.at + i * sizeof(label))))
			put_label(event, &label[0], &label[1]);
	}
	if (list.n > CPROF_CONTEXT_GO_LABELS)
		event->cut = 1;
}

static __always_inline void read_go_bucket(struct context_scratch *scratch)
{
	const __u8 *bucket = scratch->bucket;
	for (int i = 0; i < GO_BUCKET_SLOTS; i++) {
		struct go_string key, value;
		if (bucket[i] < GO_TOPHASH_USED)
			continue;
		__builtin_memcpy(&key, bucket + GO_BUCKET_KEYS + i * sizeof(key), sizeof(key));
		__builtin_memcpy(&value, bucket + GO_BUCKET_VALUES + i * sizeof(value),
				 sizeof(value));
		put_label(&scratch->event, &key, &value);
	}
}

static __always_inline void read_go_map(struct context_scratch *scratch, __u64 labels)
{
	__u64 map = read_word(labels);
	__u8 log2 = 0;
	if (!map || bpf_probe_read_user(&log2, 1, (void *)(map + GO_MAP_LOG2_AT)))
		return;
	__u64 buckets = read_word(map + GO_MAP_BUCKETS_AT), at = buckets;
	__u32 next = 1, n = 1 << (log2 & 7);
	for (int i = 0; at && i < GO_BUCKETS_MAX; i++) {
		__u64 more = 0;
		if (!bpf_probe_read_user(scratch->bucket, GO_BUCKET, (void *)at)) {
			read_go_bucket(scratch);
			__builtin_memcpy(&more, scratch->bucket + GO_BUCKET_MORE, sizeof(more));
		}
		at = more;
		if (!at && next < n)
			at = buckets + next++ * GO_BUCKET;
	}
	if (at)
		scratch->event.cut = 1;
}

/* The goroutine that this thread works for, also where it is on a stack of the runtime's own, as Go's own profile has it. */
static __always_inline void read_go(const struct cprof_context_place *place, __u64 tp,
				    struct context_scratch *scratch)
{
	__u64 g = read_word(tp + place->offset);
	__u64 m = g ? read_word(g + place->g_m) : 0;
	__u64 curg = m ? read_word(m + place->m_curg) : 0;
	__u64 labels = curg ? read_word(curg + place->g_labels) : 0;
	if (!labels)
		return;
	if (place->how == CPROF_CONTEXT_GO_MAP)
		read_go_map(scratch, labels);
	else
		read_go_list(&scratch->event, labels);
}

/* ---- both ---- */

/* The context of the thread that is running; bytes of the event, 0: it has none. */
static __always_inline __u64 context_read(const struct cprof_context_place *place,
					  struct context_scratch *scratch)
{
	struct cprof_context_event *event = &scratch->event;
	__u64 tp = thread_pointer();
	event->how = place->how;
	event->n = event->cut = event->pad = 0;
	if (place->how == CPROF_CONTEXT_FIXED || place->how == CPROF_CONTEXT_DYNAMIC) {
		__u64 variable = find_variable(place, tp);
		if (variable)
			read_record(event, read_word(variable));
	} else if (place->how != CPROF_CONTEXT_NONE) {
		read_go(place, tp, scratch);
	}
	__u64 n = event->n;
	if (!n || n > CPROF_CONTEXT_DATA)
		return 0;
	return CPROF_CONTEXT_EVENT_HEAD + n;
}

#endif
