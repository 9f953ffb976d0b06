/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/delivery/pace.h"

uint64_t cprof_pace_ns(uint64_t elapsed_ns, uint64_t kept)
{
	return kept ? (uint64_t)((double)elapsed_ns / ((double)kept * CPROF_PACE_RATIO)) : 0;
}
