/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clockwork.h"

#include <stddef.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"

static uint64_t wall_ns(void *ctx)
{
	(void)ctx;
	return cprof_clock_wall_ns();
}

static uint64_t boot_ns(void *ctx)
{
	(void)ctx;
	return cprof_clock_ns(CLOCK_BOOTTIME);
}

static void sleep_ns(void *ctx, uint64_t ns)
{
	const struct timespec left = { .tv_sec = (time_t)(ns / CPROF_NS_PER_S),
				       .tv_nsec = (long)(ns % CPROF_NS_PER_S) };
	(void)ctx;
	nanosleep(&left, NULL);
}

static uint64_t chance(void *ctx)
{
	uint64_t bits = 0;
	(void)ctx;
	return getrandom(&bits, sizeof(bits), 0) == (ssize_t)sizeof(bits) ? bits
									  : cprof_clock_mono_ns();
}

const struct cprof_clockwork cprof_clockwork_real = {
	.wall_ns = wall_ns, .boot_ns = boot_ns, .sleep_ns = sleep_ns, .chance = chance
};

uint64_t cprof_clockwork_up_to(const struct cprof_clockwork *clock, uint64_t end_ns)
{
	uint64_t bits = clock->chance(clock->ctx);
	return end_ns == UINT64_MAX ? bits : bits % (end_ns + 1);
}
