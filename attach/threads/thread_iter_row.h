/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/threads/thread_iter_row.h - what the BPF task iterator writes for each thread.
 */
#ifndef CPROF_ATTACH_THREADS_THREAD_ITER_ROW_H
#define CPROF_ATTACH_THREADS_THREAD_ITER_ROW_H

#include <stdint.h>

#include "attach/target/thread_regs.h"

/* What the program writes for each thread: no padding, because every byte has to be initialized. */
struct cprof_thread_iter_row {
	uint32_t tid;   /* in the initial pid namespace, as are all numbers a BPF program sees */
	uint32_t state; /* task_struct.__state: 0 is running or ready to run */
	uint32_t exit_state;
	uint32_t
		on_cpu; /* running at this moment: `regs` are from when it last entered the kernel */
	uint32_t cpu;
	uint32_t task_flags;
	uint64_t voluntary, involuntary; /* context switches */
	uint64_t ran_ns, last_ns;        /* CPU time; scheduler clock when it last ran */
	uint64_t start_ns;
	char name[16];
	uint64_t regs[CPROF_THREAD_REGS_WORDS];
};

#endif
