/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as an ELF file: symbol tables, PLT, mini debug info, DWARF, Go's table, and look-ups all over them. */
#include <stdlib.h>
#include <string.h>

#include "symbolize/dwarf/dwarf.h"
#include "symbolize/elf/eh_index.h"
#include "symbolize/names/go_table.h"
#include "symbolize/names/plt.h"
#include "symbolize/process/debug_file.h"

#define ADDRS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern size_t fuzz_touched;
size_t fuzz_touched; /* so that no look at a string is optimized away */

static void ask(struct cprof_dwarf *dwarf, const struct cprof_go_table *go, uint64_t addr)
{
	struct cprof_dwarf_frame frames[8];
	size_t n = dwarf ? cprof_dwarf_frames(dwarf, addr, frames, 8) : 0;
	/* Every string must be readable to its end. */
	for (size_t i = 0; i < n; i++)
		fuzz_touched += strlen(frames[i].name) + strlen(frames[i].linkage_name) +
				strlen(frames[i].file);
	if (go && cprof_go_table_find(go, addr, &frames[0]))
		fuzz_touched += strlen(frames[0].name) + strlen(frames[0].file);
}

static void read_symbols(struct cprof_elf *elf, struct cprof_symbols *symbols, char **plt_names)
{
	static const uint32_t types[] = { SHT_SYMTAB, SHT_DYNSYM };
	for (size_t i = 0; i < 2; i++) {
		const struct cprof_section *table = cprof_elf_section_of_type(elf, types[i]);
		if (table)
			cprof_error_free(cprof_symbols_add_table(symbols, elf, table, NULL));
	}
	cprof_error_free(cprof_plt_add(elf, plt_names, symbols));
	cprof_error_free(cprof_symbols_sort(symbols));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cprof_image *image;
	struct cprof_elf *elf = NULL, *mini = NULL;
	uint8_t *copy = malloc(size + 1), build_id[20];
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	struct cprof_error *err = cprof_image_from_bytes(copy, size, &image);
	if (!err)
		err = cprof_elf_open(image, false, &elf);
	if (err) {
		cprof_error_free(err);
		return 0;
	}
	/* As for a hostile file of this size: what it may inflate to is bounded in proportion. */
	elf->inflate_limit = 16u << 20;
	struct cprof_symbols symbols = { 0 };
	struct cprof_dwarf *dwarf = NULL;
	struct cprof_go_table *go = NULL;
	char *plt_names = NULL;
	cprof_elf_build_id(elf, build_id);
	read_symbols(elf, &symbols, &plt_names);
	cprof_error_free(cprof_debug_file_unpack(elf, &mini));
	cprof_error_free(cprof_dwarf_new(elf, elf, &dwarf));
	cprof_error_free(cprof_go_table_new(elf, &go));
	for (size_t i = 0; i < symbols.n && i < ADDRS_MAX; i++) {
		cprof_symbols_find(&symbols, symbols.all[i].start);
		ask(dwarf, go, symbols.all[i].start);
		ask(dwarf, go, symbols.all[i].end - 1);
		fuzz_touched += cprof_eh_index_start(elf, symbols.all[i].start + 1) & 1;
	}
	for (uint64_t addr = 0x1000; addr < 0x1200; addr += 8)
		ask(dwarf, go, addr);
	if (dwarf)
		cprof_dwarf_missing_split(dwarf);
	cprof_go_table_free(go);
	cprof_dwarf_free(dwarf);
	cprof_symbols_deinit(&symbols);
	free(plt_names);
	cprof_elf_free(mini);
	cprof_elf_free(elf);
	return 0;
}
