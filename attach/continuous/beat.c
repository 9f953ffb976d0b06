/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/continuous/beat.h"

#include <string.h>

#include "cprof/hash.h"

struct cprof_beat cprof_beat_of(const char *host, pid_t pid, uint64_t every_ns)
{
	const uint64_t hash = cprof_hash_mix(cprof_hash_bytes(host, strlen(host)), (uint64_t)pid);
	/* The whole hash as a fraction of the interval: what is left of a division is not even where the interval is long. */
	const uint64_t phase_ns = (uint64_t)((double)every_ns * ((double)(hash >> 11) * 0x1p-53));
	return (struct cprof_beat){ .every_ns = every_ns,
				    .phase_ns = phase_ns < every_ns ? phase_ns : 0 };
}

uint64_t cprof_beat_wait_ns(const struct cprof_beat *beat, uint64_t wall_ns)
{
	if (wall_ns < beat->phase_ns)
		return beat->phase_ns - wall_ns;
	return beat->every_ns - (wall_ns - beat->phase_ns) % beat->every_ns;
}
