/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/target_mem.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#define NO_PAGE UINT64_MAX

void cprof_target_mem_init(struct cprof_target_mem *mem, struct cprof_target *target)
{
	mem->target = target;
	mem->tid = target->leader_gone ? cprof_target_living_tid(target) : target->pid;
	mem->page_addr = NO_PAGE;
	mem->reads = 0;
}

void cprof_target_mem_begin(struct cprof_target_mem *mem)
{
	mem->page_addr = NO_PAGE;
}

static bool read_once(struct cprof_target_mem *mem, uint64_t addr, void *buf, size_t n)
{
	struct iovec local = { .iov_base = buf, .iov_len = n };
	struct iovec remote = { .iov_base = (void *)(uintptr_t)addr, .iov_len = n };
	mem->reads++;
	return process_vm_readv(mem->tid, &local, 1, &remote, 1, 0) == (ssize_t)n;
}

bool cprof_target_mem_read(struct cprof_target_mem *mem, uint64_t addr, void *buf, size_t n)
{
	bool ok = read_once(mem, addr, buf, n);
	if (!ok && errno == ESRCH && cprof_target_alive(mem->target)) {
		/* The thread we read through has ended, others have not. */
		mem->tid = cprof_target_living_tid(mem->target);
		ok = read_once(mem, addr, buf, n);
	}
	/* Still alive now: so the id was the target's own all the time, not reused. */
	return ok && cprof_target_alive(mem->target);
}

size_t cprof_target_mem_copy_by(pid_t tid, uint64_t addr, void *buf, size_t cap)
{
	struct iovec local = { .iov_base = buf, .iov_len = cap };
	struct iovec remote[2];
	size_t first = CPROF_TARGET_MEM_PAGE - (addr & (CPROF_TARGET_MEM_PAGE - 1));
	if (first > cap)
		first = cap;
	remote[0] = (struct iovec){ .iov_base = (void *)(uintptr_t)addr, .iov_len = first };
	remote[1] = (struct iovec){ .iov_base = (void *)(uintptr_t)(addr + first),
				    .iov_len = cap - first };
	ssize_t n = process_vm_readv(tid, &local, 1, remote, cap > first ? 2 : 1, 0);
	return n > 0 ? (size_t)n : 0;
}

static size_t copy_once(struct cprof_target_mem *mem, uint64_t addr, void *buf, size_t cap)
{
	mem->reads++;
	return cprof_target_mem_copy_by(mem->tid, addr, buf, cap);
}

size_t cprof_target_mem_copy(struct cprof_target_mem *mem, uint64_t addr, void *buf, size_t cap)
{
	size_t n = copy_once(mem, addr, buf, cap);
	if (!n && errno == ESRCH && cprof_target_alive(mem->target)) {
		mem->tid = cprof_target_living_tid(mem->target);
		n = copy_once(mem, addr, buf, cap);
	}
	return n && cprof_target_alive(mem->target) ? n : 0;
}

static bool read_cached(void *ctx, uint64_t addr, void *buf, size_t n)
{
	struct cprof_target_mem *mem = ctx;
	uint64_t page = addr & ~(uint64_t)(CPROF_TARGET_MEM_PAGE - 1);
	size_t at = (size_t)(addr - page);
	if (at + n > sizeof(mem->page))
		return cprof_target_mem_read(mem, addr, buf, n);
	if (mem->page_addr != page) {
		mem->page_addr = NO_PAGE;
		if (!cprof_target_mem_read(mem, page, mem->page, sizeof(mem->page)))
			return false;
		mem->page_addr = page;
	}
	memcpy(buf, mem->page + at, n);
	return true;
}

struct cprof_memory cprof_target_mem_view(struct cprof_target_mem *mem)
{
	return (struct cprof_memory){ .read = read_cached, .ctx = mem };
}
