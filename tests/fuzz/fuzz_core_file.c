/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as a core file: threads, stacks and memory are inside the file, whatever it says. */
#include <stdlib.h>

#include "attach/threads/core_file.h"
#include "attach/threads/core_snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cprof_core_file core;
	struct cprof_error *err = cprof_core_file_parse(data, size, &core);
	if (err) {
		cprof_error_free(err);
		return 0;
	}
	struct cprof_thread_snapshot snapshot;
	err = cprof_core_snapshot_make(&core, 4096, &snapshot);
	if (!err) {
		if (snapshot.n != core.n_threads)
			abort();
		cprof_thread_snapshot_deinit(&snapshot);
	}
	cprof_error_free(err);
	for (size_t i = 0; i < core.n_segments; i++) {
		uint8_t bytes[16];
		cprof_core_file_read(&core, core.segments[i].start, bytes, sizeof(bytes));
		cprof_core_file_read(&core, core.segments[i].end - 8, bytes, sizeof(bytes));
	}
	cprof_core_file_deinit(&core);
	return 0;
}
