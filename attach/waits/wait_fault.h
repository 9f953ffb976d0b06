/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/waits/wait_fault.h - page faults that the BPF program tells of, each in two halves, joined into one wait.
 *
 * The beginning of a fault brings the stack, which is walked at once: later it is another one. Its end brings the time.
 * A thread that wakes on another CPU ends in another ring, and rings are read one after the other (wait_tier_bpf.c): either
 * half may come first. Memory is fixed: a half that is never joined gives way to a newer fault.
 */
#ifndef CPROF_ATTACH_WAITS_WAIT_FAULT_H
#define CPROF_ATTACH_WAITS_WAIT_FAULT_H

#include "attach/waits/wait_bpf.h"
#include "attach/waits/wait_intake.h"
#include "cprof/error.h"

struct cprof_wait_faults {
	struct cprof_wait_intake *intake; /* borrowed */
	struct cprof_wait_fault *halves;  /* owned; by thread and serial */
};

/* A zeroed struct is one that takes no faults. Errors: NO_MEMORY. */
struct cprof_error *cprof_wait_faults_init(struct cprof_wait_faults *faults,
					   struct cprof_wait_intake *intake);
void cprof_wait_faults_deinit(struct cprof_wait_faults *faults);

/* A thread has begun a fault: `event` is CPROF_WAIT_BPF_FAULT, and `sample` the thread's. Errors: NO_MEMORY. */
struct cprof_error *cprof_wait_faults_begin(struct cprof_wait_faults *faults,
					    const struct cprof_wait_bpf_event *event,
					    const struct cprof_session_sample *sample);

/* As in wait_tier.h. */
void cprof_wait_faults_each_row(struct cprof_wait_faults *faults,
				void (*fn)(void *ctx, uint32_t *row), void *ctx);

/* It is over: `event` is CPROF_WAIT_BPF_FAULT_END, and the thread has run again at `ran_ns`. Errors: NO_MEMORY. */
struct cprof_error *cprof_wait_faults_end(struct cprof_wait_faults *faults,
					  const struct cprof_wait_bpf_event *event,
					  uint64_t ran_ns);

#endif
