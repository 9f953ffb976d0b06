/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the memory of a process at the place of a file's first mapping; what comes of it is read as an ELF file. */
#include <string.h>

#include "symbolize/names/symbols.h"
#include "symbolize/process/mapped_image.h"
#include "tests/fuzz/bytes_memory.h"

#define AT 0x10000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at(struct cprof_image *image)
{
	struct cprof_elf *elf;
	struct cprof_symbols symbols = { 0 };
	size_t added;
	struct cprof_error *err = cprof_elf_open(image, false, &elf);
	if (!err) {
		const struct cprof_section *table = cprof_elf_section_of_type(elf, SHT_DYNSYM);
		if (table)
			err = cprof_symbols_add_table(&symbols, elf, table, &added);
		cprof_symbols_deinit(&symbols);
		cprof_elf_free(elf);
	}
	cprof_error_free(err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes_memory bytes = { AT, data, size };
	struct cprof_maps maps;
	struct cprof_image *image;
	const struct cprof_map *added;
	const struct cprof_map map = { .start = AT,
				       .end = AT + ((size + 4096) & ~4095ull),
				       .prot = 5,
				       .inode = 7,
				       .path = "/gone" };
	cprof_maps_init(&maps, 0,
			(struct cprof_memory){ .read = bytes_memory_read, .ctx = &bytes });
	struct cprof_error *err = cprof_maps_add(&maps, &map, &added);
	if (!err)
		err = cprof_mapped_image_read(&maps, added, 1 << 20, &image);
	if (!err)
		look_at(image);
	cprof_error_free(err);
	cprof_maps_deinit(&maps);
	return 0;
}
