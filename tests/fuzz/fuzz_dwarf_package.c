/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a .dwp file: every id that its index names, and the units cut out for it, read to their ends. */
#include <stdlib.h>
#include <string.h>

#include "symbolize/dwarf/dwarf_functions.h"
#include "symbolize/dwarf/dwarf_package.h"

#define SLOTS_MAX 64
#define UNITS_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern size_t fuzz_touched;
size_t fuzz_touched; /* so that no look at a string is optimized away */

static void read_unit(struct cprof_dwarf_file *file, uint64_t offset)
{
	struct cprof_dwarf_unit *unit = cprof_dwarf_file_unit(file, offset);
	struct cprof_dwarf_functions functions = { 0 };
	if (unit)
		cprof_dwarf_functions_find(&functions, unit, 0); /* has the unit read */
	const struct cprof_dwarf_calls *calls = functions.n_units ? functions.units[0] : NULL;
	for (size_t i = 0; calls && i < calls->intervals.n && i < SLOTS_MAX; i++) {
		const struct cprof_dwarf_call *call = cprof_dwarf_functions_find(
			&functions, unit, calls->intervals.pieces[i].start);
		for (; call; call = cprof_dwarf_functions_outer(&functions, unit, call))
			fuzz_touched += strlen(call->name) + strlen(call->linkage_name);
	}
	cprof_dwarf_functions_deinit(&functions);
}

static void look_up(struct cprof_elf *elf, const struct cprof_dwarf_package *package, uint64_t id)
{
	struct cprof_dwarf_slices slices;
	struct cprof_dwarf_file file, program = { 0 };
	if (!cprof_dwarf_package_find(package, id, &slices))
		return;
	cprof_dwarf_file_init_package(&file, elf, &slices, &program);
	cprof_dwarf_file_scan(&file);
	for (size_t i = 0; i < file.n_units && i < UNITS_MAX; i++)
		read_unit(&file, file.units[i]->offset);
	cprof_dwarf_file_deinit(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cprof_image *image;
	struct cprof_elf *elf = NULL;
	uint8_t *copy = malloc(size + 1);
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
	struct cprof_dwarf_package package;
	if (cprof_dwarf_package_init(&package, elf)) {
		for (uint64_t slot = 0; slot < package.n_slots && slot < SLOTS_MAX; slot++) {
			const uint8_t *id = cprof_section_at(package.index, 16 + 8 * slot, 8);
			uint64_t value = 0;
			if (id)
				memcpy(&value, id, sizeof(value));
			look_up(elf, &package, value);
			look_up(elf, &package, value ^ 1);
		}
	}
	cprof_elf_free(elf);
	return 0;
}
