/* SPDX-License-Identifier: Apache-2.0 */
#include "base/own_label.h"

#include <stddef.h>
#include <string.h>

bool cprof_is_own_label(const char *key)
{
	static const char *const keys[] = {
		"age",     "bytes",  "call",  "deadlock",  "idle",      "kind", "lock",
		"mapping", "open",   "owner", "owner_pid", "owner_tid", "pid",  "pool",
		"reason",  "state",  "stuck", "thread",    "threads",   "tid",  "time_ms",
		"wait",    "waited", "wchan", "why"
	};
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strcmp(key, keys[i]) == 0)
			return true;
	}
	return false;
}

bool cprof_is_request_id(const char *key)
{
	return strcmp(key, "trace_id") == 0 || strcmp(key, "span_id") == 0;
}
