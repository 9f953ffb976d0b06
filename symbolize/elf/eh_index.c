/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/elf/eh_index.h"

#include <string.h>

#include "base/search.h"

#define HEADER 12 /* four encodings, the frames' place, the count */
#define ENCODINGS                                                                                  \
	"\x01\x1b\x03\x3b" /* version 1, pcrel sdata4, udata4, datarel sdata4: what linkers write */
#define FUNCTION_MAX                                                                               \
	(4u << 20) /* beyond it an address belongs to code without unwind information */
#define ENTRY 8

/* The table's entry `index`: where its function starts, as in the file. */
static uint64_t start_at(const uint8_t *table, uint64_t base, size_t index)
{
	int32_t offset;
	memcpy(&offset, table + index * ENTRY, sizeof(offset));
	return base + (uint64_t)(int64_t)offset;
}

uint64_t cprof_eh_index_start(struct cprof_elf *elf, uint64_t file_addr)
{
	const struct cprof_section *section = cprof_elf_section(elf, ".eh_frame_hdr");
	const uint8_t *bytes = section ? cprof_section_at(section, 0, section->size) : NULL;
	uint32_t n;
	if (!bytes || section->size < HEADER || memcmp(bytes, ENCODINGS, 4) != 0)
		return file_addr;
	memcpy(&n, bytes + 8, sizeof(n));
	if (n > (section->size - HEADER) / ENTRY)
		return file_addr;
	const uint8_t *table = bytes + HEADER;
	size_t after = CPROF_SEARCH(i, n, start_at(table, section->addr, i) <= file_addr);
	if (!after)
		return file_addr;
	uint64_t start = start_at(table, section->addr, after - 1);
	return file_addr - start < FUNCTION_MAX ? start : file_addr;
}
