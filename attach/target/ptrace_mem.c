/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of a process that stands still: see attach/target/ptrace.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <unistd.h>

#include "attach/target/ptrace.h"
#include "base/cleanup.h"

#define PAGE 4096u

static const struct cprof_tracee *any_stopped(const struct cprof_ptrace *trace)
{
	for (size_t i = 0; i < trace->n; i++) {
		if (trace->threads[i].state == CPROF_TRACEE_STOPPED)
			return &trace->threads[i];
	}
	return NULL;
}

static struct cprof_error *nobody(const struct cprof_ptrace *trace)
{
	return cprof_error_new(CPROF_ERR_NO_TARGET, "no thread of process %d is left",
			       (int)trace->pid);
}

struct cprof_error *cprof_ptrace_read(const struct cprof_ptrace *trace, uint64_t addr, void *bytes,
				      size_t n)
{
	const struct cprof_tracee *thread = any_stopped(trace);
	if (!thread)
		return nobody(trace);
	struct iovec local = { bytes, n }, remote = { (void *)(uintptr_t)addr, n };
	errno = 0; /* a part of it is no error of the call's */
	if (process_vm_readv(thread->tid, &local, 1, &remote, 1, 0) == (ssize_t)n)
		return NULL;
	return cprof_error_os(errno ? errno : EFAULT, "read %zu bytes at 0x%llx", n,
			      (unsigned long long)addr);
}

static bool write_memory(const struct cprof_tracee *thread, uint64_t addr, const void *bytes,
			 size_t n)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)thread->tid);
	CPROF_AUTO(close) int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && pwrite(fd, bytes, n, (off_t)addr) == (ssize_t)n;
}

/*
 * For a hardened kernel (proc_mem.force_override), which lets only ptrace itself write to r-x memory, and eight bytes at
 * a time: one copy as well, for all of them lie in one page. A byte beside ours that is changed meanwhile, by a
 * uprobe, would be put back.
 */
static struct cprof_error *poke_word(const struct cprof_tracee *thread, uint64_t addr,
				     const uint8_t *bytes, size_t n)
{
	uint64_t room = PAGE - (addr & (PAGE - 1));
	uint64_t at = room < 8 ? addr - (8 - room) : addr;
	errno = 0;
	long word = ptrace(PTRACE_PEEKTEXT, thread->tid, (void *)at, NULL);
	if (errno)
		return cprof_error_os(errno, "PTRACE_PEEKTEXT at 0x%llx", (unsigned long long)at);
	memcpy((uint8_t *)&word + (addr - at), bytes, n);
	if (ptrace(PTRACE_POKETEXT, thread->tid, (void *)at, (void *)word) < 0)
		return cprof_error_os(errno, "PTRACE_POKETEXT at 0x%llx", (unsigned long long)at);
	return NULL;
}

struct cprof_error *cprof_ptrace_poke(const struct cprof_ptrace *trace, uint64_t addr,
				      const uint8_t *bytes, size_t n)
{
	const struct cprof_tracee *thread = any_stopped(trace);
	if (!thread)
		return nobody(trace);
	if (n == 0 || n > 8 || n > PAGE - (addr & (PAGE - 1)))
		return cprof_error_new(CPROF_ERR_UNSUPPORTED, "0x%llx: %zu bytes cross a page",
				       (unsigned long long)addr, n);
	if (write_memory(thread, addr, bytes, n))
		return NULL;
	return poke_word(thread, addr, bytes, n);
}

struct cprof_error *cprof_ptrace_write(const struct cprof_ptrace *trace, uint64_t addr,
				       const void *bytes, size_t n)
{
	const struct cprof_tracee *thread = any_stopped(trace);
	if (!thread)
		return nobody(trace);
	if (write_memory(thread, addr, bytes, n))
		return NULL;
	for (size_t done = 0; done < n;) {
		uint64_t room = PAGE - ((addr + done) & (PAGE - 1));
		size_t part = n - done < 8 ? n - done : 8;
		if (part > room)
			part = (size_t)room;
		struct cprof_error *err =
			poke_word(thread, addr + done, (const uint8_t *)bytes + done, part);
		if (err)
			return err;
		done += part;
	}
	return NULL;
}
