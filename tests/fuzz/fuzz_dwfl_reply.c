/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes from the process that asks libdw: frames or none, and what was read is written as it was. */
#include <stdlib.h>
#include <string.h>

#include "symbolize/dwfl/dwfl_reply.h"

#define FRAMES_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cprof_dwarf_frame frames[FRAMES_MAX];
	struct cprof_buffer again = { 0 };
	size_t n;
	if (!cprof_dwfl_reply_read(data, size, frames, FRAMES_MAX, &n))
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (strlen(frames[i].name) > CPROF_DWFL_TEXT_MAX ||
		    strlen(frames[i].linkage_name) > CPROF_DWFL_TEXT_MAX ||
		    strlen(frames[i].file) > CPROF_DWFL_TEXT_MAX)
			return 0; /* texts of that length are cut */
	}
	cprof_dwfl_reply_write(frames, n, &again);
	if (again.len != size || (size && memcmp(again.data, data, size) != 0))
		abort();
	cprof_buffer_deinit(&again);
	return 0;
}
