/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/mmap/mmap_bpf.h - what mmap.bpf.c and attach/heap/mmap/mmap_program.c say to each other.
 *
 * Compiled on both sides, so it uses the kernel's integer names only.
 */
#ifndef CPROF_ATTACH_HEAP_MMAP_MMAP_BPF_H
#define CPROF_ATTACH_HEAP_MMAP_MMAP_BPF_H

#include <linux/types.h>

/* The numbers of the calls on x86-64 (arch/x86/entry/syscalls/syscall_64.tbl). */
#define CPROF_MMAP_BPF_MMAP   9
#define CPROF_MMAP_BPF_MUNMAP 11
#define CPROF_MMAP_BPF_BRK    12
#define CPROF_MMAP_BPF_MREMAP 25
#define CPROF_MMAP_BPF_SHMAT  30
#define CPROF_MMAP_BPF_SHMDT  67

/* A sample's raw bytes begin with it. */
struct cprof_mmap_bpf_event {
	__u32 nr; /* one of these */
};

#endif
