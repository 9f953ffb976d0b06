/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a perf map: lines in, then look-ups around every start. */
#include <string.h>

#include "symbolize/names/perf_map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern size_t fuzz_touched;
size_t fuzz_touched; /* so that no look at a string is optimized away */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cprof_perf_map map;
	struct cprof_buffer text = { 0 };
	cprof_buffer_append(&text, data, size);
	struct cprof_error *err = cprof_perf_map_parse(&map, &text);
	for (size_t i = 0; !err && i < map.intervals.n; i++) {
		const char *name = cprof_perf_map_find(&map, map.intervals.pieces[i].start);
		fuzz_touched += name ? strlen(name) : 0;
		cprof_perf_map_find(&map, map.intervals.pieces[i].start - 1);
	}
	cprof_error_free(err);
	cprof_perf_map_deinit(&map);
	return 0;
}
