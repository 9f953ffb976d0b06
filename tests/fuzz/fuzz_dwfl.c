/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real ELF files whose tables say something else, given to libdwfl as a profile would: whatever it does, in its own process, who asked gets an answer or an
 * error, soon, and may ask again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "symbolize/dwfl/dwfl_child.h"
#include "tests/fuzz/mutate_elf.h"

#define FRAMES_MAX 64
#define ADDRESSES  24
#define CPU_NS     200000000ull
#define BYTES      (256ull << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cprof_error *open_module(void *ctx, uint32_t id, struct cprof_dwfl_files *ret_files)
{
	(void)id;
	ret_files->self = ctx;
	return NULL;
}

static void check(const struct cprof_dwarf_frame *frames, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!frames[i].name || strlen(frames[i].name) > 4096 ||
		    strlen(frames[i].linkage_name) > 4096 || strlen(frames[i].file) > 4096)
			abort();
	}
}

static void ask_all(struct cprof_elf *elf)
{
	struct cprof_dwfl_child child = { .open = open_module,
					  .ctx = elf,
					  .module_cpu_ns = CPU_NS,
					  .all_cpu_ns = 2 * CPU_NS,
					  .memory_bytes = BYTES };
	uint64_t start, end;
	struct cprof_error *err = NULL;
	if (!cprof_dwfl_span(elf, &start, &end))
		return;
	for (uint64_t i = 0; i < ADDRESSES && !err; i++) {
		struct cprof_dwarf_frame frames[FRAMES_MAX];
		size_t n;
		err = cprof_dwfl_child_ask(&child, 0, start + (end - start) / ADDRESSES * i, frames,
					   FRAMES_MAX, &n);
		check(frames, n);
		if (err && !*err->message)
			abort();
	}
	cprof_error_free(err);
	cprof_dwfl_child_end(&child);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cprof_image *image;
	struct cprof_elf *elf;
	uint8_t *copy = size ? malloc(size) : NULL;
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	struct cprof_error *err = cprof_image_from_bytes(copy, size, &image);
	if (!err)
		err = cprof_elf_open(image, false, &elf);
	if (!err) {
		ask_all(elf);
		cprof_elf_free(elf);
	}
	cprof_error_free(err);
	return 0;
}
