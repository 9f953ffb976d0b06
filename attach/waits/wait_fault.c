/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/waits/wait_fault.h"

#include <stdbool.h>
#include <stdlib.h>

#include "cprof/hash.h"

#define FAULTS_MAX 4096

struct cprof_wait_fault {
	uint32_t tid, serial;
	enum { FAULT_NONE, FAULT_BEGUN, FAULT_ENDED } half; /* the one that is known */
	uint32_t row;                                       /* of the sums; known if begun */
	uint32_t times;                                     /* known if ended, as these */
	uint64_t delay_ns, queue_ns, ran_ns;
};

struct cprof_error *cprof_wait_faults_init(struct cprof_wait_faults *faults,
					   struct cprof_wait_intake *intake)
{
	*faults = (struct cprof_wait_faults){
		.intake = intake,
		.halves = calloc(FAULTS_MAX, sizeof(*faults->halves)),
	};
	return faults->halves ? NULL : cprof_error_no_memory();
}

void cprof_wait_faults_deinit(struct cprof_wait_faults *faults)
{
	free(faults->halves);
	faults->halves = NULL;
}

/* The place of this fault's other half; an older fault that never got its own gives way. */
static struct cprof_wait_fault *place_of(const struct cprof_wait_faults *faults,
					 const struct cprof_wait_bpf_event *event, bool *ret_is_its)
{
	uint64_t key = (uint64_t)event->tid << 32 | event->serial;
	struct cprof_wait_fault *fault = &faults->halves[cprof_hash_u64(key) % FAULTS_MAX];
	*ret_is_its = fault->half != FAULT_NONE && fault->tid == event->tid &&
		      fault->serial == event->serial;
	if (!*ret_is_its)
		*fault = (struct cprof_wait_fault){ .tid = event->tid, .serial = event->serial };
	return fault;
}

static struct cprof_error *add_up(struct cprof_wait_faults *faults, struct cprof_wait_fault *fault)
{
	const uint64_t end_ns = cprof_wait_intake_end_ns(faults->intake);
	const struct cprof_wait wait = {
		.count = fault->times,
		.delay_ns = (double)fault->delay_ns * fault->times,
		.queue_ns = (double)fault->queue_ns * fault->times,
		.began_ns = fault->ran_ns - fault->queue_ns - fault->delay_ns,
		.woken_ns = fault->ran_ns - fault->queue_ns,
		.ran_ns = fault->ran_ns < end_ns ? fault->ran_ns : end_ns,
	};
	fault->half = FAULT_NONE;
	return cprof_wait_intake_more(faults->intake, fault->row, &wait);
}

void cprof_wait_faults_each_row(struct cprof_wait_faults *faults,
				void (*fn)(void *ctx, uint32_t *row), void *ctx)
{
	for (size_t i = 0; faults->halves && i < FAULTS_MAX; i++) {
		if (faults->halves[i].half == FAULT_BEGUN)
			fn(ctx, &faults->halves[i].row);
	}
}

struct cprof_error *cprof_wait_faults_begin(struct cprof_wait_faults *faults,
					    const struct cprof_wait_bpf_event *event,
					    const struct cprof_session_sample *sample)
{
	if (!faults->halves)
		return NULL;
	bool is_its;
	struct cprof_wait_fault *fault = place_of(faults, event, &is_its);
	const struct cprof_wait wait = { .tid = event->tid, .syscall = CPROF_WAIT_NO_SYSCALL };
	struct cprof_error *err =
		cprof_wait_intake_take(faults->intake, &wait, sample, &fault->row);
	if (err)
		return err;
	if (is_its && fault->half == FAULT_ENDED)
		return add_up(faults, fault);
	fault->half = FAULT_BEGUN;
	return NULL;
}

struct cprof_error *cprof_wait_faults_end(struct cprof_wait_faults *faults,
					  const struct cprof_wait_bpf_event *event, uint64_t ran_ns)
{
	if (!faults->halves)
		return NULL;
	bool is_its;
	struct cprof_wait_fault *fault = place_of(faults, event, &is_its);
	fault->times = event->val;
	fault->delay_ns = event->delay_ns;
	fault->queue_ns = event->queue_ns;
	fault->ran_ns = ran_ns;
	if (is_its && fault->half == FAULT_BEGUN)
		return add_up(faults, fault);
	fault->half = FAULT_ENDED;
	return NULL;
}
