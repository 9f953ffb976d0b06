/* SPDX-License-Identifier: Apache-2.0 */
/* tests/tools/live_memory.h - the memory of a process as a cprof_memory (cprof/memory.h); ctx points at its pid. */
#ifndef CPROF_TESTS_TOOLS_LIVE_MEMORY_H
#define CPROF_TESTS_TOOLS_LIVE_MEMORY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

static inline bool live_read(void *ctx, uint64_t addr, void *buf, size_t n)
{
	struct iovec local = { buf, n }, remote = { (void *)(uintptr_t)addr, n };
	return process_vm_readv(*(pid_t *)ctx, &local, 1, &remote, 1, 0) == (ssize_t)n;
}

#endif
