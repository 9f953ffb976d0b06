/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/context/context_bpf.h - what BPF programs that read a thread's context (context_read.bpf.h) and who decodes it
 * (thread_context.h) say to each other.
 *
 * Compiled on both sides, so it uses the kernel's integer names only and every struct has a fixed size.
 */
#ifndef CPROF_ATTACH_CONTEXT_CONTEXT_BPF_H
#define CPROF_ATTACH_CONTEXT_CONTEXT_BPF_H

#include <linux/types.h>

enum cprof_context_how {
	CPROF_CONTEXT_NONE,
	CPROF_CONTEXT_FIXED,   /* the variable is at a fixed distance from the thread pointer */
	CPROF_CONTEXT_DYNAMIC, /* it is in the block of a module that was loaded later */
	CPROF_CONTEXT_GO_MAP,  /* Go's labels: up to Go 1.23 they are a map, */
	CPROF_CONTEXT_GO_LIST, /* from then on a list */
};

/* Where the threads of a process have theirs. Offsets from the thread pointer unless said otherwise. */
struct cprof_context_place {
	__u32 how;
	__u32 module;       /* DYNAMIC: its number in the thread's vector of blocks (DTV) */
	__s64 offset;       /* of the variable, in DYNAMIC from the block's start; Go: of g */
	__s64 dtv_at;       /* of the pointer to the vector */
	__s32 dtv_count_at; /* of the number of its entries, from where that points */
	__u32 dtv_entry;    /* bytes */
	__u32 g_m, m_curg, g_labels; /* Go: members of its structs */
	__u32 pad;
};

/* A process, as the kernel knows it: its id in its own PID namespace. */
struct cprof_context_key {
	__u32 namespace_inode;
	__u32 pid;
};

#define CPROF_CONTEXT_HEAD       28  /* OTEP 4947: bytes of a record before its attributes, */
#define CPROF_CONTEXT_VALID_AT   24  /* the byte that is 1 where it is valid, */
#define CPROF_CONTEXT_SIZE_AT    26  /* and the size of the attributes */
#define CPROF_CONTEXT_ATTRIBUTES 996 /* bytes that are copied; the OTEP recommends 612 at most */
#define CPROF_CONTEXT_DATA       2048

#define CPROF_CONTEXT_GO_LABELS 16 /* are copied, and of each so much, */
#define CPROF_CONTEXT_GO_KEY    127
#define CPROF_CONTEXT_GO_VALUE  255

/* How a Go label begins in the data; key and value follow. */
struct cprof_context_go_label {
	__u16 key_n, value_n;
};

/* A context as it was copied. Nothing is sent of a thread that has none. */
struct cprof_context_event {
	__u32 how;
	__u32 n;   /* bytes of data */
	__u32 cut; /* there was more */
	__u32 pad;
	__u8 data[CPROF_CONTEXT_DATA]; /* the record as it is; or Go labels, one after the other */
};
#define CPROF_CONTEXT_EVENT_HEAD 16

#endif
