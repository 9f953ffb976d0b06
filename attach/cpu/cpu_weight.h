/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cpu/cpu_weight.h - what a sample of an event that is no clock stands for.
 *
 * The kernel can be asked for a number of samples a second, but then it guesses the period anew at every tick and every
 * overflow, and of bursts (faults, switches) the guesses added up to a sixth or to six times what had happened. So the
 * period is ours: fixed, looked at often in the beginning, then ten times a second and when a ring fills up, and set anew when the event
 * has become more than twice as frequent, or half. Each sample weighs the period that it was taken with. At the end all
 * are scaled so that the sum is what the kernel counted in these processes, which mends lost samples and counters shared
 * by turns, too.
 *
 * Knows no descriptors: counting is perf_counter.h, setting a period the source's.
 */
#ifndef CPROF_ATTACH_CPU_CPU_WEIGHT_H
#define CPROF_ATTACH_CPU_CPU_WEIGHT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cprof/error.h"
#include "cprof/hash.h"
#include "cprof/profile.h"

struct cprof_cpu_weight {
	double rate_hz; /* samples a second that are wanted, of all together */
	struct cprof_cpu_weight_change {
		uint64_t from_mono_ns, period;
	} * changes; /* owned; in the order of time; the first counts for all before it, too */
	size_t n, cap;
	struct cprof_map64
		inherited; /* period of threads that were created with one, and keep it */
	uint64_t start_ns, looked_ns, looked_count; /* mono; of the last look */
};

/* `first` is the period to begin with. Errors: NO_MEMORY. */
struct cprof_error *cprof_cpu_weight_init(struct cprof_cpu_weight *weight, double rate_hz,
					  uint64_t first);
void cprof_cpu_weight_deinit(struct cprof_cpu_weight *weight);

/* The window begins. */
void cprof_cpu_weight_start(struct cprof_cpu_weight *weight, uint64_t mono_ns);

/* Until the next look is due. */
uint64_t cprof_cpu_weight_wait_ns(const struct cprof_cpu_weight *weight, uint64_t mono_ns);

/*
 * A look, also before it is due: `count` events since the start. Whether the period is to be set anew, and to what; call
 * cprof_cpu_weight_changed() once it is set.
 */
bool cprof_cpu_weight_look(struct cprof_cpu_weight *weight, uint64_t mono_ns, uint64_t count,
			   uint64_t *ret_period);
struct cprof_error *cprof_cpu_weight_changed(struct cprof_cpu_weight *weight, uint64_t mono_ns,
					     uint64_t period);

/* A thread was created, and has an event of its own that keeps the period of that moment. Errors: NO_MEMORY. */
struct cprof_error *cprof_cpu_weight_inherit(struct cprof_cpu_weight *weight, pid_t tid,
					     uint64_t mono_ns);

/* Of a sample. */
uint64_t cprof_cpu_weight_of(const struct cprof_cpu_weight *weight, pid_t tid, uint64_t mono_ns);

/* Scale the values of type `type` so that they add up to `total`; each is off by less than 1. Nothing if all are 0. */
void cprof_cpu_weight_scale(struct cprof_profile *profile, uint32_t type, uint64_t total);

#endif
