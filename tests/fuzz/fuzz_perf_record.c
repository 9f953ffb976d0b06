/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as one perf record, under a layout that the first two bytes choose. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "attach/perf/perf_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sink;

/* What is handed out must be readable to its end. */
static void touch(const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sink += ((const uint8_t *)bytes)[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t all = PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME |
				    PERF_SAMPLE_ADDR | PERF_SAMPLE_ID | PERF_SAMPLE_STREAM_ID |
				    PERF_SAMPLE_CPU | PERF_SAMPLE_PERIOD | PERF_SAMPLE_CALLCHAIN |
				    PERF_SAMPLE_RAW | PERF_SAMPLE_REGS_USER |
				    PERF_SAMPLE_STACK_USER;
	if (size < 2 + sizeof(struct perf_event_header) || size > UINT16_MAX)
		return 0;
	struct cprof_perf_layout layout = {
		.sample_type = data[0] & 1 ? all : (uint64_t)data[0] << 8 | (data[1] & 0xe7),
		.n_regs = data[1] & 63,
	};
	layout.sample_type &= all;
	size -= 2;
	struct perf_event_header *record = malloc(size);
	memcpy(record, data + 2, size);
	record->size = (uint16_t)size; /* the ring has checked that much */

	struct cprof_perf_record got;
	sink += cprof_perf_record_time(&layout, record);
	struct cprof_error *err = cprof_perf_record_decode(&layout, record, &got);
	if (!err && got.kind == CPROF_PERF_SAMPLE) {
		touch(got.sample.kernel, got.sample.n_kernel * 8);
		touch(got.sample.raw, got.sample.n_raw);
		touch(got.sample.regs, got.sample.regs ? layout.n_regs * 8u : 0);
		touch(got.sample.stack, got.sample.n_stack);
	} else if (!err && got.kind == CPROF_PERF_MAP) {
		struct cprof_map map = cprof_perf_record_map(&got);
		touch(map.path, strlen(map.path));
	} else if (!err && (got.kind == CPROF_PERF_COMM || got.kind == CPROF_PERF_EXEC)) {
		touch(got.comm, strlen(got.comm));
	}
	cprof_error_free(err);
	free(record);
	return 0;
}
