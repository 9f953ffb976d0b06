/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/heap_threads.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "base/cleanup.h"

#define SCAN_MAX ((size_t)8 << 20) /* of one stack, from the stack pointer up */
/* Of the saved pc in a signal frame, from the restorer's address: "struct rt_sigframe". */
#define FRAME_RIP    176u
#define PAGE         4096u
#define RED_ZONE     128u          /* System V psABI "The Stack Frame" */
#define NATIVE_STACK 0x40000000ull /* larger ones are no stacks */
/* Of a C library's own record of a thread, which begins at the thread pointer and ends with the stack's block. */
#define RECORD_BYTES 2304u
#define RECORD_ABOVE 16384u

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

/* Is one of the words inside of a range? */
static bool points_into(const struct cprof_ptrace *trace, const uint64_t *words, size_t n,
			const struct cprof_shim_range *ranges, size_t n_ranges)
{
	(void)trace;
	for (size_t i = 0; i < n; i++) {
		if (inside(ranges, n_ranges, words[i]))
			return true;
	}
	return false;
}

typedef bool look_fn(const struct cprof_ptrace *trace, const uint64_t *words, size_t n,
		     const struct cprof_shim_range *ranges, size_t n_ranges);

/* Does `look` find something on a thread's stack, from its stack pointer up? */
static bool any_stack(const struct cprof_ptrace *trace, const struct cprof_maps *maps,
		      look_fn *look, const struct cprof_shim_range *ranges, size_t n_ranges)
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
		if (got > 0 && look(trace, words, (size_t)got / 8, ranges, n_ranges))
			return true;
	}
	return false;
}

bool cprof_heap_threads_return_into(const struct cprof_ptrace *trace, const struct cprof_maps *maps,
				    const struct cprof_shim_range *ranges, size_t n_ranges)
{
	return any_stack(trace, maps, scan, ranges, n_ranges);
}

bool cprof_heap_threads_point_into(const struct cprof_ptrace *trace, const struct cprof_maps *maps,
				   const struct cprof_shim_range *ranges, size_t n_ranges)
{
	return any_stack(trace, maps, points_into, ranges, n_ranges);
}

/* ---- whose stack it is ---- */

/* Is `word` followed by the size of a block that holds the stack pointer, and the thread pointer near its end? */
static bool is_block(const uint64_t *word, uint64_t sp, uint64_t thread_pointer)
{
	const uint64_t block = word[0], bytes = word[1], end = block + bytes;
	return block % PAGE == 0 && bytes % PAGE == 0 && bytes < NATIVE_STACK && block < sp &&
	       end > thread_pointer && end - thread_pointer <= RECORD_ABOVE;
}

/* Nothing but a guard between the block's start and the mapping. */
static bool is_guarded(const struct cprof_maps *maps, const struct cprof_map *map, uint64_t block)
{
	uint64_t at = block;
	while (at < map->start) {
		const struct cprof_map *guard = cprof_maps_find(maps, at);
		if (!guard || guard->prot != 0)
			return false;
		at = guard->end;
	}
	return block < map->start && at == map->start;
}

static bool own_stack(const struct cprof_maps *maps, const struct cprof_map *map, uint64_t sp,
		      uint64_t thread_pointer, struct cprof_heap_stack *ret_stack)
{
	uint64_t words[RECORD_BYTES / 8];
	if (thread_pointer % 8 || thread_pointer <= sp || thread_pointer >= map->end)
		return false;
	uint64_t room = map->end - thread_pointer;
	size_t n = room < sizeof(words) ? (size_t)room : sizeof(words);
	if (!maps->memory.read(maps->memory.ctx, thread_pointer, words, n))
		return false;
	for (size_t i = 0; i + 1 < n / 8; i++) {
		if (!is_block(words + i, sp, thread_pointer) || !is_guarded(maps, map, words[i]))
			continue;
		*ret_stack =
			(struct cprof_heap_stack){ map->start, thread_pointer,
						   thread_pointer + i * 8, words[i], words[i + 1] };
		return true;
	}
	return false;
}

bool cprof_heap_threads_stack(const struct cprof_maps *maps, uint64_t sp, uint64_t thread_pointer,
			      struct cprof_heap_stack *ret_stack)
{
	const struct cprof_map *map = cprof_maps_find(maps, sp);
	if (!map || (map->prot & (PROT_READ | PROT_WRITE)) != (PROT_READ | PROT_WRITE))
		return false;
	if (strcmp(map->path, "[stack]") == 0) {
		*ret_stack = (struct cprof_heap_stack){ .start = map->start, .end = map->end };
		return true;
	}
	return own_stack(maps, map, sp, thread_pointer, ret_stack);
}

size_t cprof_heap_threads_dead(const struct cprof_ptrace *trace, const struct cprof_maps *maps,
			       struct cprof_shim_range *ranges, size_t cap)
{
	size_t n = 0;
	for (size_t i = 0; i < trace->n && n < cap; i++) {
		const struct cprof_tracee *thread = &trace->threads[i];
		const uint64_t live = (thread->regs.rsp - RED_ZONE) & ~7ull;
		struct cprof_heap_stack stack;
		if (thread->state == CPROF_TRACEE_STOPPED &&
		    cprof_heap_threads_stack(maps, thread->regs.rsp, thread->regs.fs_base,
					     &stack) &&
		    stack.start < live)
			ranges[n++] = (struct cprof_shim_range){ stack.start, live };
	}
	return n;
}
