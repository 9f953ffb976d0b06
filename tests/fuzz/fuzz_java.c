/* SPDX-License-Identifier: Apache-2.0 */
/* A Java virtual machine's memory, as a target may have it: tables, code cache and methods in a piece of arbitrary bytes. */
#include <stdlib.h>
#include <string.h>

#include "symbolize/java/code_cache.h"
#include "symbolize/java/frame_edge.h"
#include "symbolize/java/method_name.h"
#include "tests/fuzz/bytes_memory.h"

#define BASE 0x100000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_blob(const struct cprof_code_blob *blob, uint64_t addr)
{
	if (addr < blob->code_start || addr >= blob->code_end || blob->complete > blob->code_end ||
	    strlen(blob->name) >= sizeof(blob->name) ||
	    (blob->kind == CPROF_CODE_COMPILED && blob->frame_words < 2))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cprof_code_cache cache;
	struct bytes_memory bytes = { BASE, data, size };
	const struct cprof_memory memory = { bytes_memory_read, &bytes };
	uint64_t exports[CPROF_VM_EXPORTS];
	struct cprof_vm_layout layout;
	char name[CPROF_METHOD_NAME_MAX];
	for (unsigned i = 0; i < CPROF_VM_EXPORTS; i++)
		exports[i] = BASE + 8u * i;
	for (size_t at = 0; at < size && at < 64; at++)
		cprof_frame_edge(data, size < 88 ? size : 88, at, at & 1);
	if (!cprof_vm_tables_read(&memory, exports, &layout))
		return 0;
	cache = (struct cprof_code_cache){ .layout = &layout };
	if (!cprof_code_cache_refresh(&cache, &memory))
		return 0;
	for (size_t at = 0; at < size; at += 136) {
		const struct cprof_code_blob *blob =
			cprof_code_cache_find(&cache, &memory, BASE + at);
		if (blob)
			check_blob(blob, BASE + at);
		if (cprof_vm_layout_names(&layout) &&
		    cprof_method_name(&layout, &memory, BASE + at / 8 * 8, name) &&
		    strlen(name) >= sizeof(name))
			abort();
	}
	return 0;
}
