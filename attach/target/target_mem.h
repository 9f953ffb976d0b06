/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/target_mem.h - the memory of a live process, read with process_vm_readv(2) as a cprof_memory.
 *
 * A walk reads word by word, so the last page read is kept. The target changes it meanwhile: before the next walk it must
 * be dropped with cprof_target_mem_begin(). Does not stop the target.
 */
#ifndef CPROF_ATTACH_TARGET_TARGET_MEM_H
#define CPROF_ATTACH_TARGET_TARGET_MEM_H

#include "attach/target/target.h"
#include "cprof/memory.h"

#define CPROF_TARGET_MEM_PAGE 4096

struct cprof_target_mem {
	struct cprof_target *target; /* borrowed */
	pid_t tid;          /* a living thread of it: a leader that is gone has no memory */
	uint64_t page_addr; /* of the bytes in `page`; UINT64_MAX: none */
	uint64_t reads;     /* system calls made, for -v */
	uint8_t page[CPROF_TARGET_MEM_PAGE];
};

void cprof_target_mem_init(struct cprof_target_mem *mem, struct cprof_target *target);

/* Drop the page that was kept: it may be out of date. */
void cprof_target_mem_begin(struct cprof_target_mem *mem);

/* The view of it; valid as long as `mem` stays where it is. */
struct cprof_memory cprof_target_mem_view(struct cprof_target_mem *mem);

/* Exactly `n` bytes, past any page kept. False if any of them cannot be read or the process has ended. */
bool cprof_target_mem_read(struct cprof_target_mem *mem, uint64_t addr, void *buf, size_t n);

/*
 * From `addr` upwards as far as memory goes, at most `cap` bytes, in one system call: what lies behind the end of a
 * stack does not spoil the rest. Returns the number of bytes, 0 if not even the first can be read.
 */
size_t cprof_target_mem_copy(struct cprof_target_mem *mem, uint64_t addr, void *buf, size_t cap);

/* The same through thread `tid`, without a look at whether the process is still that one. */
size_t cprof_target_mem_copy_by(pid_t tid, uint64_t addr, void *buf, size_t cap);

#endif
