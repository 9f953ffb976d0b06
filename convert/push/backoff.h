/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/push/backoff.h - how long to leave a server alone that did not take a profile.
 *
 * "Full jitter": after the n-th failure in a row a random time between nothing and 0.5 s, 1 s, 2 s ... 60 s, so that the
 * many that failed together do not come back together, whatever made them fail. What a server asks for itself (Retry-After) is
 * waited for first, and the random time after it: it says the same to all of them.
 */
#ifndef CPROF_CONVERT_PUSH_BACKOFF_H
#define CPROF_CONVERT_PUSH_BACKOFF_H

#include <stdint.h>

#include "base/clockwork.h"

/*
 * After `failures` in a row (1 or more). `retry_after_ns`: what the server asked for, 0 for nothing, of which at most
 * `retry_after_max_ns` is waited.
 */
uint64_t cprof_backoff_ns(const struct cprof_clockwork *clock, unsigned failures,
			  uint64_t retry_after_ns, uint64_t retry_after_max_ns);

/* The longest random time after so many failures. */
uint64_t cprof_backoff_cap_ns(unsigned failures);

#endif
