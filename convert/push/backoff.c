/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/push/backoff.h"

#include "base/clock.h"

#define FIRST_CAP_NS (CPROF_NS_PER_S / 2)
#define LAST_CAP_NS  (60 * CPROF_NS_PER_S)

uint64_t cprof_backoff_cap_ns(unsigned failures)
{
	uint64_t cap = FIRST_CAP_NS;
	for (unsigned i = 1; i < failures && cap < LAST_CAP_NS; i++)
		cap *= 2;
	return cap < LAST_CAP_NS ? cap : LAST_CAP_NS;
}

uint64_t cprof_backoff_ns(const struct cprof_clockwork *clock, unsigned failures,
			  uint64_t retry_after_ns, uint64_t retry_after_max_ns)
{
	uint64_t asked = retry_after_ns < retry_after_max_ns ? retry_after_ns : retry_after_max_ns;
	return asked + cprof_clockwork_up_to(clock, cprof_backoff_cap_ns(failures));
}
