#include "attach/heap/inject/heap_threads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "cprof/buffer.h"

#define SCAN_MAX ((size_t)8 << 20) /* of one stack, from the stack pointer up */
/* Of the saved pc in a signal frame, from the restorer's address: "struct rt_sigframe". */
#define FRAME_RIP    176u
#define GLIBC_TID    0x2d0u
#define MUSL_TID     0x30u
#define NATIVE_STACK 0x40000000ull /* larger ones are no stacks */

static bool inside(const struct cprof_shim_range *ranges, size_t n, uint64_t addr)
{
	for (size_t i = 0; i < n; i++) {
		if (addr - ranges[i].start < ranges[i].end - ranges[i].start)
			return true;
	}
	return false;
}

bool cprof_heap_threads_run_in(const struct cprof_ptrace *trace,
			       const struct cprof_shim_range *ranges, size_t n_ranges)
{
	for (size_t i = 0; i < trace->n; i++) {
		if (trace->threads[i].state == CPROF_TRACEE_STOPPED &&
		    inside(ranges, n_ranges, trace->threads[i].regs.rip))
			return true;
	}
	return false;
}

/* Does code at `addr` make the system call rt_sigreturn? */
static bool is_restorer(const struct cprof_ptrace *trace, uint64_t addr)
{
	uint8_t code[9];
	struct cprof_error *err = cprof_ptrace_read(trace, addr, code, sizeof(code));
	if (err) {
		cprof_error_free(err);
		return false;
	}
	return memcmp(code, "\x48\xc7\xc0\x0f\0\0\0\x0f\x05", 9) == 0 ||
	       memcmp(code, "\xb8\x0f\0\0\0\x0f\x05", 7) == 0;
}

static bool scan(const struct cprof_ptrace *trace, const uint64_t *words, size_t n,
		 const struct cprof_shim_range *ranges, size_t n_ranges)
{
	for (size_t i = FRAME_RIP / 8; i < n; i++) {
		if (inside(ranges, n_ranges, words[i]) &&
		    is_restorer(trace, words[i - FRAME_RIP / 8]))
			return true;
	}
	return false;
}

bool cprof_heap_threads_return_into(const struct cprof_ptrace *trace, const struct cprof_maps *maps,
				    const struct cprof_shim_range *ranges, size_t n_ranges)
{
	CPROF_AUTO(free) uint64_t *words = malloc(SCAN_MAX);
	if (!words)
		return true; /* then better not now */
	for (size_t i = 0; i < trace->n; i++) {
		const struct cprof_tracee *thread = &trace->threads[i];
		uint64_t sp = thread->regs.rsp & ~7ull;
		const struct cprof_map *map = cprof_maps_find(maps, sp);
		if (thread->state != CPROF_TRACEE_STOPPED || !map)
			continue;
		size_t n = map->end - sp < SCAN_MAX ? (size_t)(map->end - sp) : SCAN_MAX;
		struct iovec local = { words, n }, remote = { (void *)(uintptr_t)sp, n };
		ssize_t got = process_vm_readv(thread->tid, &local, 1, &remote, 1, 0);
		if (got > 0 && scan(trace, words, (size_t)got / 8, ranges, n_ranges))
			return true;
	}
	return false;
}

uint32_t cprof_heap_threads_ns_tid(pid_t pid, pid_t tid)
{
	char path[64];
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)pid, (int)tid);
	struct cprof_error *err = cprof_file_read(path, 1 << 16, &text);
	cprof_error_free(err);
	const char *at = strstr(cprof_buffer_text(&text), "\nNSpid:");
	uint32_t last = 0;
	for (at = at ? at + 7 : NULL; at && *at && *at != '\n';) {
		char *end;
		last = (uint32_t)strtoul(at, &end, 10);
		at = end > at ? end : NULL;
	}
	return last;
}

static bool tid_at(const struct cprof_ptrace *trace, const uint32_t *ns_tids, uint32_t offset)
{
	size_t seen = 0;
	for (size_t i = 0; i < trace->n; i++) {
		const struct cprof_tracee *thread = &trace->threads[i];
		uint32_t value = 0;
		if (thread->state != CPROF_TRACEE_STOPPED)
			continue;
		struct cprof_error *err = cprof_ptrace_read(trace, thread->regs.fs_base + offset,
							    &value, sizeof(value));
		if (err || !ns_tids[i] || value != ns_tids[i]) {
			cprof_error_free(err);
			return false;
		}
		seen++;
	}
	return seen > 0;
}

uint32_t cprof_heap_threads_tid_offset(const struct cprof_ptrace *trace, const uint32_t *ns_tids)
{
	if (tid_at(trace, ns_tids, GLIBC_TID))
		return GLIBC_TID;
	if (tid_at(trace, ns_tids, MUSL_TID))
		return MUSL_TID;
	return 0;
}

bool cprof_heap_threads_bounds(const struct cprof_maps *maps, uint64_t sp, uint64_t thread_pointer,
			       uint64_t *ret_start, uint64_t *ret_end)
{
	const struct cprof_map *map = cprof_maps_find(maps, sp);
	if (!map || !(map->prot & PROT_WRITE))
		return false;
	*ret_start = map->start;
	*ret_end = map->end;
	if (strcmp(map->path, "[stack]") == 0)
		return true;
	*ret_end = thread_pointer;
	return thread_pointer > sp && thread_pointer < map->end &&
	       map->end - map->start < NATIVE_STACK;
}
