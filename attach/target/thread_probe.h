/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/thread_probe.h - do the mappings and the memory of a process answer at all?
 *
 * A thread that hangs in the kernel holding the lock of its address space makes everybody hang who reads the mappings or
 * the memory of that process (it is what makes ps hang on a machine with a dead NFS server). process_vm_readv(2) even
 * waits for it where no signal ends the wait. So it is tried first, by a thread of ours that may be left behind,
 * through files that a fatal signal does end.
 */
#ifndef CPROF_ATTACH_TARGET_THREAD_PROBE_H
#define CPROF_ATTACH_TARGET_THREAD_PROBE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * True once the start of `dir`/maps and the byte of `dir`/mem at the first mapping could be read, or an error came back;
 * false if neither happened within `wait_ns`. Both are asked: from Linux 6.17 on the mappings answer without the lock that
 * the memory needs. `dir` is /proc/PID/task/TID of a thread that lives: one that has ended has no memory. The thread that
 * tried stays behind where there is no answer, in a wait that a fatal signal or our exit ends.
 */
bool cprof_thread_probe_answers(const char *dir, uint64_t wait_ns);

#endif
