/* SPDX-License-Identifier: Apache-2.0 */
/* A Java virtual machine's memory, as a target may have it: tables, code cache and methods in a piece of arbitrary bytes. */
#include <stdlib.h>
#include <string.h>

#include "symbolize/java/code_cache.h"
#include "symbolize/java/frame_edge.h"
#include "symbolize/java/method_name.h"
#include "symbolize/unwind/unwind_ahead.h"
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

static void read_ahead(const uint8_t *code, size_t n, size_t at)
{
	struct cprof_ahead ahead;
	int32_t pushed = cprof_ahead_pushed(code + at, n - at, 8 * (int32_t)at);
	cprof_frame_edge(code, n, at, at & 1);
	if ((cprof_ahead_adapter(code + at, n - at, &ahead) && ahead.cfa_reg >= 16) ||
	    (cprof_ahead_interpreter(code, n, at, at & 1, &ahead) &&
	     (ahead.cfa_reg >= 16 || ahead.ra.base >= 16)) ||
	    pushed < 0 || pushed > 2048)
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
		read_ahead(data, size < 512 ? size : 512, at);
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
