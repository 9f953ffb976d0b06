/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/dwfl/dwfl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "symbolize/elf/elf_headers.h"

/* ---- callbacks ---- */

/* libdwfl takes the Elf, which reads module->bytes. */
static int find_elf(Dwfl_Module *mod, void **userdata, const char *name, Dwarf_Addr base,
		    char **file_name, Elf **elf)
{
	struct cprof_dwfl_module *module = *userdata;
	(void)mod, (void)name, (void)base;
	*file_name = NULL;
	*elf = module && module->bytes.map
		       ? module->libdw->elf_memory((char *)module->bytes.map, module->bytes.size)
		       : NULL;
	return -1;
}

/* The name that `elf` gives to dwz's common file. */
static const char *alt_name(struct cprof_elf *elf)
{
	const struct cprof_section *link = elf ? cprof_elf_section(elf, ".gnu_debugaltlink") : NULL;
	return link ? cprof_section_string(link, 0) : NULL;
}

/* Asked for the debug file, and by the same function for the common one of what it has found. */
static int find_debuginfo(Dwfl_Module *mod, void **userdata, const char *name, Dwarf_Addr base,
			  const char *file_name, const char *link, GElf_Word crc,
			  char **debug_file_name)
{
	struct cprof_dwfl_module *module = *userdata;
	(void)mod, (void)name, (void)base, (void)file_name;
	*debug_file_name = NULL;
	errno = ENOENT;
	if (!module)
		return -1;
	const char *alt = alt_name(module->files.debug ? module->files.debug : module->files.self);
	const bool wants_alt = link && alt && !crc && strcmp(link, alt) == 0;
	return cprof_take_fd(wants_alt ? &module->alt_fd : &module->debug_fd);
}

/* A section that the kernel does not tell of is not in memory: what is said of it is left as it is, and the rest still counts. */
static int section_address(Dwfl_Module *mod, void **userdata, const char *name, Dwarf_Addr base,
			   const char *section, Elf32_Word index, const GElf_Shdr *header,
			   Dwarf_Addr *addr)
{
	const struct cprof_dwfl_module *module = *userdata;
	if (!module || !module->files.loaded ||
	    module->libdw->dwfl_linux_kernel_module_section_address(
		    mod, userdata, name, base, section, index, header, addr) != DWARF_CB_OK)
		*addr = (Dwarf_Addr)-1;
	return DWARF_CB_OK;
}

/* ---- the session ---- */

struct cprof_error *cprof_dwfl_init(struct cprof_dwfl *dwfl)
{
	static const Dwfl_Callbacks callbacks = { .find_elf = find_elf,
						  .find_debuginfo = find_debuginfo,
						  .section_address = section_address };
	struct cprof_error *err = cprof_libdw_load(&dwfl->libdw);
	if (err)
		return err;
	dwfl->dwfl = dwfl->libdw.dwfl_begin(&callbacks);
	return dwfl->dwfl ? NULL : cprof_error_no_memory();
}

void cprof_dwfl_deinit(struct cprof_dwfl *dwfl)
{
	if (dwfl->dwfl)
		dwfl->libdw.dwfl_end(dwfl->dwfl);
	while (dwfl->modules) {
		struct cprof_dwfl_module *module = dwfl->modules;
		dwfl->modules = module->next;
		cprof_dwfl_bytes_free(&module->bytes);
		if (module->debug_fd >= 0)
			close(module->debug_fd);
		if (module->alt_fd >= 0)
			close(module->alt_fd);
		free(module);
	}
	*dwfl = (struct cprof_dwfl){ 0 };
}

static struct cprof_error *refused(const struct cprof_libdw *libdw)
{
	return cprof_error_new(CPROF_ERR_BAD_DATA, "libdwfl: %s", libdw->dwfl_errmsg(-1));
}

static struct cprof_dwfl_module *new_module(struct cprof_dwfl *dwfl,
					    const struct cprof_dwfl_files *files)
{
	struct cprof_dwfl_module *module = calloc(1, sizeof(*module));
	if (!module)
		return NULL;
	*module = (struct cprof_dwfl_module){ .libdw = &dwfl->libdw,
					      .files = *files,
					      .debug_fd = -1,
					      .alt_fd = -1,
					      .next = dwfl->modules };
	dwfl->modules = module;
	dwfl->n_modules++;
	return module;
}

/* Now, because there may be no descriptor to be had when libdwfl asks. */
static struct cprof_error *copy_files(struct cprof_dwfl_module *module)
{
	const struct cprof_dwfl_files *files = &module->files;
	struct cprof_error *err = cprof_dwfl_bytes_copy(files->self->image, &module->bytes);
	if (!err && files->debug)
		err = cprof_dwfl_bytes_sealed(files->debug->image, &module->debug_fd);
	if (!err && files->alt)
		err = cprof_dwfl_bytes_sealed(files->alt->image, &module->alt_fd);
	return err;
}

/* ---- where it lies ---- */

struct place {
	uint64_t start, end;
};

static uint64_t size_of_text(const struct cprof_elf *elf)
{
	for (size_t i = 0; i < elf->n_sections; i++) {
		if (strcmp(elf->sections[i].name, ".text") == 0)
			return elf->sections[i].size;
	}
	return 0;
}

static struct cprof_error *place_loaded(const struct cprof_dwfl *dwfl,
					const struct cprof_dwfl_files *files,
					struct place *ret_place)
{
	const uint64_t size = size_of_text(files->self);
	uint64_t start = 0;
	if (dwfl->libdw.dwfl_linux_kernel_module_section_address(
		    NULL, NULL, files->loaded, 0, ".text", 0, NULL, &start) != DWARF_CB_OK ||
	    !start || start + size < start)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "the kernel does not tell where it is");
	*ret_place = (struct place){ start, start + size };
	return NULL;
}

/* libdwfl takes the file's first segment, rounded down to its own alignment, to be at the start: the kernel's lowest is not the first. */
static struct cprof_error *place_segments(const struct cprof_dwfl_files *files, uint64_t bias,
					  struct place *ret_place)
{
	struct cprof_elf_headers headers;
	struct place place = { 0, 0 };
	struct cprof_error *err = cprof_elf_headers_read(files->self->image, &headers);
	bool found = false;
	for (size_t i = 0; !err && i < headers.n_segments; i++) {
		const Elf64_Phdr phdr = cprof_elf_headers_segment(&headers, i);
		if (phdr.p_type != PT_LOAD)
			continue;
		if (!found)
			place.start = (phdr.p_vaddr & -phdr.p_align) + bias;
		found = true;
		const uint64_t size = phdr.p_vaddr + bias + phdr.p_memsz - place.start;
		if (size < INT64_MAX && place.start + size > place.end)
			place.end = place.start + size;
	}
	if (!err && place.start >= place.end)
		err = cprof_error_new(CPROF_ERR_BAD_DATA, "it has no segments");
	if (!err)
		*ret_place = place;
	return err;
}

/* ---- reporting ---- */

static struct cprof_error *report(struct cprof_dwfl *dwfl, const struct place *place,
				  struct cprof_dwfl_module *module)
{
	const struct cprof_libdw *libdw = &dwfl->libdw;
	char number[24];
	void **userdata;
	/* What has the name and place of another module is taken for it. */
	snprintf(number, sizeof(number), "%zu", dwfl->n_modules);
	const char *name = module->files.loaded ? module->files.loaded : number;
	libdw->dwfl_report_begin_add(dwfl->dwfl);
	module->mod = libdw->dwfl_report_module(dwfl->dwfl, name, place->start, place->end);
	if (module->mod) {
		libdw->dwfl_module_info(module->mod, &userdata, NULL, NULL, NULL, NULL, NULL, NULL);
		*userdata = module;
	}
	return libdw->dwfl_report_end(dwfl->dwfl, NULL, NULL) == 0 && module->mod ? NULL
										  : refused(libdw);
}

/* While files may be opened: find_elf() is called, and what is relocatable is relocated, for which the kernel is asked. */
static struct cprof_error *take(const struct cprof_dwfl *dwfl, const struct place *place,
				struct cprof_dwfl_module *module)
{
	const struct cprof_libdw *libdw = &dwfl->libdw;
	GElf_Addr bias;
	GElf_Off offset;
	GElf_Sym symbol;
	if (!libdw->dwfl_module_getelf(module->mod, &bias))
		return refused(libdw);
	if (!module->files.loaded)
		return NULL;
	if (!libdw->dwfl_module_getdwarf(module->mod, &bias))
		return refused(libdw);
	libdw->dwfl_module_addrinfo(module->mod, place->start, &offset, &symbol, NULL, NULL, NULL);
	return NULL;
}

struct cprof_error *cprof_dwfl_report(struct cprof_dwfl *dwfl, const struct cprof_dwfl_files *files,
				      uint64_t bias, struct cprof_dwfl_module **ret_module)
{
	struct place place;
	struct cprof_error *err = files->loaded ? place_loaded(dwfl, files, &place)
						: place_segments(files, bias, &place);
	if (err)
		return err;
	struct cprof_dwfl_module *module = new_module(dwfl, files);
	if (!module)
		return cprof_error_no_memory();
	err = copy_files(module);
	if (!err)
		err = report(dwfl, &place, module);
	if (!err)
		err = take(dwfl, &place, module);
	if (!err)
		*ret_module = module;
	return err;
}

struct cprof_dwfl_module *cprof_dwfl_at(struct cprof_dwfl *dwfl, uint64_t addr)
{
	const struct cprof_libdw *libdw = &dwfl->libdw;
	void **userdata = NULL;
	Dwfl_Module *mod = libdw->dwfl_addrmodule(dwfl->dwfl, addr);
	if (mod)
		libdw->dwfl_module_info(mod, &userdata, NULL, NULL, NULL, NULL, NULL, NULL);
	return userdata ? *userdata : NULL;
}
