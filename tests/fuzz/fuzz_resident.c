/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as /proc/PID/smaps, behind claims on places in it: whatever is claimed, the lines add up to what is resident. */
#include <stdlib.h>
#include <string.h>

#include "attach/heap/heap_baseline.h"
#include "attach/heap/resident/resident.h"
#include "attach/heap/resident/stack_claims.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool pages(void *ctx, uint64_t start, uint64_t end, bool common, uint64_t *ret_bytes)
{
	(void)ctx;
	*ret_bytes = (end - start) / 2;
	return !common;
}

static void check(struct cprof_resident *resident, const struct cprof_smaps *smaps)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < CPROF_RESIDENT_LINES; i++) {
		sum += resident->lines[i].bytes;
		if (resident->lines[i].common > resident->lines[i].bytes)
			abort();
	}
	if (sum != smaps->rss || sum != resident->total)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cprof_smaps smaps = { 0 };
	struct cprof_resident resident = { 0 };
	uint64_t sps[4] = { 0 };
	struct cprof_error *err = NULL;
	if (size < 64)
		return 0;
	for (size_t i = 0; !err && i < 8; i++) {
		const uint64_t start = (data[4 * i] | data[4 * i + 1] << 8) * 256ull;
		err = cprof_resident_claim(&resident, start, start + data[4 * i + 2] * 128ull,
					   cprof_resident_line(&resident, i % 2 ? "a" : "b"),
					   data[4 * i + 3] % 4);
		sps[i % 4] = start;
	}
	cprof_buffer_append(&smaps.text, data + 32, size - 32);
	if (!err)
		err = cprof_smaps_parse(&smaps);
	if (!err)
		err = cprof_stack_claims_add(&resident, &smaps, sps, 4, 0x10000, 9);
	if (!err)
		err = cprof_resident_settle(&resident, &smaps, pages, NULL);
	if (!err)
		check(&resident, &smaps);
	cprof_resident_deinit(&resident);
	uint64_t bytes;
	if (!err)
		err = cprof_stack_claims_add(&resident, &smaps, sps, 4, 0x10000, 0);
	if (!err)
		err = cprof_heap_baseline_of(&smaps, &resident, &bytes);
	cprof_error_free(err);
	cprof_resident_deinit(&resident);
	cprof_smaps_deinit(&smaps);
	return 0;
}
