/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/clockwork.h - the clocks that waiting and ageing go by, as something that can be handed over.
 *
 * What waits for minutes and throws away after hours is proved with a clock that a test moves. Everybody else passes
 * &cprof_clockwork_real.
 */
#ifndef CPROF_BASE_CLOCKWORK_H
#define CPROF_BASE_CLOCKWORK_H

#include <stdint.h>

struct cprof_clockwork {
	void *ctx;
	uint64_t (*wall_ns)(void *ctx); /* CLOCK_REALTIME: jumps when somebody sets it */
	uint64_t (*boot_ns)(
		void *ctx); /* CLOCK_BOOTTIME: never jumps, goes on while the machine sleeps, ends with it */
	void (*sleep_ns)(void *ctx, uint64_t ns); /* a signal may end it early */
	uint64_t (*chance)(void *ctx);            /* 64 random bits */
};

extern const struct cprof_clockwork cprof_clockwork_real;

/* A random time in [0, end]. */
uint64_t cprof_clockwork_up_to(const struct cprof_clockwork *clock, uint64_t end_ns);

#endif
