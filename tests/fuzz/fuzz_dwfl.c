/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real ELF files whose tables say something else, given to libdwfl as a profile would: whatever it does, in its own process, who asked gets an answer or an
 * error, soon, and may ask again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "symbolize/dwfl/dwfl_child.h"
#include "symbolize/elf/elf_headers.h"
#include "tests/fuzz/mutate_elf.h"

#define FRAMES_MAX 64
#define ADDRESSES  24
#define CPU_NS     200000000ull
#define BIAS       0x555500000000ull
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
	struct cprof_elf_headers headers;
	uint64_t start = 0, end = 0;
	struct cprof_error *err = cprof_elf_headers_read(elf->image, &headers);
	for (size_t i = 0; !err && i < headers.n_segments; i++) {
		const Elf64_Phdr phdr = cprof_elf_headers_segment(&headers, i);
		if (phdr.p_type == PT_LOAD && (phdr.p_flags & PF_X)) {
			start = phdr.p_vaddr;
			end = start + phdr.p_memsz;
		}
	}
	for (uint64_t i = 0; i < ADDRESSES && !err; i++) {
		struct cprof_dwarf_frame frames[FRAMES_MAX];
		size_t n;
		/* Some files are met at several places. */
		const struct cprof_dwfl_place place = {
			.bias = i / 8 * BIAS,
			.addr = start + (end - start) / ADDRESSES * i + i / 8 * BIAS,
			.id = i % 2
		};
		err = cprof_dwfl_child_ask(&child, &place, frames, FRAMES_MAX, &n);
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
