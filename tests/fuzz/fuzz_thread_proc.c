/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as the text of /proc/PID/task/TID files: parsed or refused, and names stay printable and short. */
#include <stdlib.h>
#include <string.h>

#include "attach/target/thread_proc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct cprof_thread_stat stat;
	struct cprof_thread_call call;
	struct cprof_thread_switches switches;
	uint64_t writes;
	struct cprof_thread_schedstat schedstat;
	struct cprof_thread_status status;
	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	if (cprof_thread_stat_parse(text, &stat)) {
		if (stat.tid <= 0 || memchr(stat.name, 0, sizeof(stat.name)) == NULL)
			abort();
		for (const unsigned char *c = (unsigned char *)stat.name; *c; c++) {
			if (*c < 0x20 || *c == 0x7f)
				abort();
		}
	}
	if (cprof_thread_call_parse(text, &call) && call.kind == CPROF_CALL_UNKNOWN)
		abort();
	cprof_thread_sched_parse(text, &switches);
	cprof_thread_io_parse(text, &writes);
	cprof_thread_schedstat_parse(text, &schedstat);
	if (cprof_thread_status_parse(text, &status) && (status.tgid <= 0 || status.ns_tid < 0))
		abort();
	free(text);
	return 0;
}
