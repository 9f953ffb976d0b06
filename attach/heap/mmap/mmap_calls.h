/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/mmap/mmap_calls.h - the calls by which one process maps and unmaps memory, by the kernel's tracepoints of them.
 *
 * Nothing is put into the target and no thread of it is stopped. An ordinary user may trace the system calls of his own processes
 * (perf_tracepoint.h). At the return of a call the registers are what they were when it was made, but for rax, so that is where calls
 * that map are looked at, with the stack; munmap and shmdt are at their entry, for as soon as they have done their work another thread
 * may get the same addresses. A kernel without System V shared memory has no such calls, and nothing is missing then.
 *
 * Source of truth: mmap(2), mremap(2), brk(2), shmop(2); System V psABI, AMD64 Linux kernel conventions.
 */
#ifndef CPROF_ATTACH_HEAP_MMAP_MMAP_CALLS_H
#define CPROF_ATTACH_HEAP_MMAP_MMAP_CALLS_H

#include <stdint.h>

#include "attach/perf/perf_record.h"
#include "attach/run/run_log.h"
#include "attach/target/target.h"
#include "cprof/arch.h"
#include "cprof/error.h"

enum cprof_mmap_call_kind {
	CPROF_MMAP_CALL_MAP,
	CPROF_MMAP_CALL_UNMAP,
	CPROF_MMAP_CALL_REMAP,
	CPROF_MMAP_CALL_BRK,
	CPROF_MMAP_CALL_ATTACH, /* of System V shared memory; the call does not say how much it is */
	CPROF_MMAP_CALL_DETACH,
	CPROF_N_MMAP_CALLS,
};

#define CPROF_MMAP_CALL_PATH 24

/* One that was made, and did what it should. Ranges are whole pages, [start, end), and do not go round. */
struct cprof_mmap_call {
	enum cprof_mmap_call_kind kind;
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	uint64_t start,
		end; /* what is mapped now; UNMAP: what no longer is; BRK: 0 and the new break;
			ATTACH: nothing where the kernel did not say how much; DETACH: nothing, at where that was */
	uint64_t old_start, old_end; /* REMAP: what was; old_start == old_end: it stays as it is */
	uint32_t prot, flags;        /* MAP: PROT_ and MAP_ */
	char path
		[CPROF_MMAP_CALL_PATH]; /* MAP: the beginning of what the kernel calls it; empty: it did not say */
};

struct cprof_mmap_calls;

/* From now on calls are seen. Errors: DENIED, UNSUPPORTED (no tracepoints), NO_TARGET, OS. */
struct cprof_error *cprof_mmap_calls_open(struct cprof_target *target, struct cprof_run_log *log,
					  struct cprof_mmap_calls **ret_calls);
void cprof_mmap_calls_close(struct cprof_mmap_calls *calls);

/*
 * Hand out what came up to `until_ns` (UINT64_MAX: all): one kind after the other, each in the order of time. `regs` and `record`,
 * with the stack, are valid during the call. Errors: those of `fn`.
 */
typedef struct cprof_error *cprof_mmap_call_fn(void *ctx, const struct cprof_mmap_call *call,
					       const struct cprof_regs *regs,
					       const struct cprof_perf_record *record);
struct cprof_error *cprof_mmap_calls_drain(struct cprof_mmap_calls *calls, uint64_t until_ns,
					   cprof_mmap_call_fn *fn, void *ctx);

/* Known to have been missed. */
uint64_t cprof_mmap_calls_lost(const struct cprof_mmap_calls *calls);

/* What the registers say of a call of that kind; false: it failed, or is none that can be. Pure. */
bool cprof_mmap_call_read(enum cprof_mmap_call_kind kind, const struct cprof_regs *regs,
			  struct cprof_mmap_call *ret_call);

#endif
