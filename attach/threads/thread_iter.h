/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/threads/thread_iter.h - the kernel's own list of a process's threads, with their registers, through a BPF task
 * iterator: 200 threads in a fraction of a millisecond, and nobody is stopped.
 *
 * Owns the program (about sixty instructions, assembled here so that building needs no BPF compiler; the offsets
 * into task_struct come from the running kernel's BTF) and the fds. Needs CAP_BPF and CAP_PERFMON and a kernel
 * of 5.15 with BTF; what is missing is told by the error, and /proc is the next means (thread_proc.h).
 *
 * Sources of truth: Documentation/bpf/bpf_iterators.rst; bpf-helpers(7) bpf_task_pt_regs, bpf_seq_write.
 */
#ifndef CPROF_ATTACH_THREADS_THREAD_ITER_H
#define CPROF_ATTACH_THREADS_THREAD_ITER_H

#include <stdint.h>
#include <sys/types.h>

#include "attach/threads/thread_iter_row.h"
#include "cprof/error.h"

struct cprof_thread_iter;

/*
 * Load and attach the program for process `pid`. 1 ms where the cache `cache_dir` (NULL: none) knows this kernel (thread_layout.h),
 * else 5 to 30 ms for reading its BTF.
 * Errors: DENIED (no capability), UNSUPPORTED (kernel without BTF, iterators or a field we need).
 */
struct cprof_error *cprof_thread_iter_open(pid_t pid, const char *cache_dir,
					   struct cprof_thread_iter **ret_iter);
void cprof_thread_iter_close(struct cprof_thread_iter *iter);

/*
 * All threads of the process now, in the kernel's order. `*ret_rows` is malloc'ed. No row at all: the process is
 * gone, or it lives in another pid namespace than the numbers we know. Errors: OS, NO_MEMORY.
 */
struct cprof_error *cprof_thread_iter_read(struct cprof_thread_iter *iter,
					   struct cprof_thread_iter_row **ret_rows, size_t *ret_n);

/* The letter of proc(5) for a row's state. */
char cprof_thread_iter_state(const struct cprof_thread_iter_row *row);

#endif
