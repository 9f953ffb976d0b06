/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/dwfl/kernel_module.h"

#include <stdlib.h>
#include <string.h>

#include "symbolize/dwfl/dwfl.h"

/* Those that addresses, lines and names are read from. */
static bool is_wanted(const char *name)
{
	static const char *const wanted[] = { ".debug_info",       ".debug_line",
					      ".debug_aranges",    ".debug_ranges",
					      ".debug_rnglists",   ".debug_addr",
					      ".debug_str_offsets" };
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		if (strcmp(name, wanted[i]) == 0)
			return true;
	}
	return false;
}

static struct cprof_error *take_section(struct cprof_elf *elf, size_t index,
					const struct cprof_libdw *libdw, Elf *from)
{
	Elf_Scn *scn = libdw->elf_getscn(from, index);
	Elf_Data *data = scn ? libdw->elf_rawdata(scn, NULL) : NULL;
	if (!data || !data->d_buf || !data->d_size)
		return NULL; /* without it names are missing, no more */
	if (!cprof_account_charge(elf->image->account, CPROF_BUDGET_HELD, data->d_size))
		return cprof_error_new(CPROF_ERR_BAD_DATA, "it takes more than the budget allows");
	uint8_t *copy = malloc(data->d_size);
	if (!copy)
		return cprof_error_no_memory();
	memcpy(copy, data->d_buf, data->d_size);
	return cprof_elf_section_replace(elf, index, copy, data->d_size);
}

static struct cprof_error *take_sections(struct cprof_elf *elf,
					 const struct cprof_dwfl_module *module)
{
	GElf_Addr bias;
	struct cprof_error *err = NULL;
	Elf *from = module->libdw->dwfl_module_getelf(module->mod, &bias);
	for (size_t i = 1; i < elf->n_sections && from && !err; i++) {
		if (is_wanted(elf->sections[i].name))
			err = take_section(elf, i, module->libdw, from);
	}
	return err;
}

/* For its symbols, which count from there. */
static void place_sections(struct cprof_elf *elf, const struct cprof_dwfl_module *module)
{
	for (size_t i = 1; i < elf->n_sections; i++) {
		uint64_t addr = 0;
		if ((elf->sections[i].flags & SHF_ALLOC) &&
		    module->libdw->dwfl_linux_kernel_module_section_address(
			    NULL, NULL, module->files.loaded, 0, elf->sections[i].name, 0, NULL,
			    &addr) == DWARF_CB_OK &&
		    addr != (uint64_t)-1)
			elf->sections[i].addr = addr;
	}
}

struct cprof_error *cprof_kernel_module_relocate(struct cprof_elf *elf, const char *name)
{
	const struct cprof_dwfl_files files = { .self = elf, .loaded = name };
	struct cprof_dwfl dwfl = { 0 };
	struct cprof_dwfl_module *module;
	if (elf->type != ET_REL)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "it is not relocatable");
	struct cprof_error *err = cprof_dwfl_init(&dwfl);
	if (!err)
		err = cprof_dwfl_report(&dwfl, &files, 0, &module);
	if (!err)
		err = take_sections(elf, module);
	if (!err)
		place_sections(elf, module);
	cprof_dwfl_deinit(&dwfl);
	return err;
}
