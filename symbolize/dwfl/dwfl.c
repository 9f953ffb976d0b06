/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/dwfl/dwfl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define SEGMENTS_MAX 4096

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

static struct cprof_error *report(struct cprof_dwfl *dwfl, const char *name, uint64_t start,
				  uint64_t end, struct cprof_dwfl_module *module)
{
	const struct cprof_libdw *libdw = &dwfl->libdw;
	struct cprof_error *err = cprof_dwfl_bytes_copy(module->files.self->image, &module->bytes);
	if (err)
		return err;
	module->mod = libdw->dwfl_report_module(dwfl->dwfl, name, start, end);
	return module->mod ? NULL : refused(libdw);
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
	return module;
}

/* Now, because there may be no descriptor to be had when libdwfl asks. */
static struct cprof_error *seal_others(struct cprof_dwfl_module *module)
{
	const struct cprof_dwfl_files *files = &module->files;
	struct cprof_error *err =
		files->debug ? cprof_dwfl_bytes_sealed(files->debug->image, &module->debug_fd)
			     : NULL;
	return err || !files->alt ? err
				  : cprof_dwfl_bytes_sealed(files->alt->image, &module->alt_fd);
}

struct cprof_error *cprof_dwfl_add(struct cprof_dwfl *dwfl, const char *name, uint64_t start,
				   uint64_t end, const struct cprof_dwfl_files *files,
				   struct cprof_dwfl_module **ret_module)
{
	const struct cprof_libdw *libdw = &dwfl->libdw;
	struct cprof_dwfl_module *module = new_module(dwfl, files);
	void **userdata;
	GElf_Addr bias;
	struct cprof_error *err = module ? seal_others(module) : cprof_error_no_memory();
	if (err)
		return err;
	libdw->dwfl_report_begin_add(dwfl->dwfl);
	err = report(dwfl, name, start, end, module);
	if (!err) {
		libdw->dwfl_module_info(module->mod, &userdata, NULL, NULL, NULL, NULL, NULL, NULL);
		*userdata = module;
	}
	if (libdw->dwfl_report_end(dwfl->dwfl, NULL, NULL) != 0 && !err)
		err = refused(libdw);
	if (!err && !libdw->dwfl_module_getelf(module->mod, &bias))
		err = refused(libdw);
	if (!err)
		*ret_module = module;
	return err;
}

static uint64_t size_of_text(const struct cprof_elf *elf)
{
	for (size_t i = 0; i < elf->n_sections; i++) {
		if (strcmp(elf->sections[i].name, ".text") == 0)
			return elf->sections[i].size;
	}
	return 0;
}

struct cprof_error *cprof_dwfl_add_loaded(struct cprof_dwfl *dwfl,
					  const struct cprof_dwfl_files *files,
					  struct cprof_dwfl_module **ret_module)
{
	const struct cprof_libdw *libdw = &dwfl->libdw;
	const uint64_t size = size_of_text(files->self);
	uint64_t start = 0;
	GElf_Addr bias;
	GElf_Off offset;
	GElf_Sym symbol;
	if (libdw->dwfl_linux_kernel_module_section_address(NULL, NULL, files->loaded, 0, ".text",
							    0, NULL, &start) != DWARF_CB_OK ||
	    !start || start + size < start)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "the kernel does not tell where it is");
	struct cprof_error *err =
		cprof_dwfl_add(dwfl, files->loaded, start, start + size, files, ret_module);
	/* Relocated now, as the kernel may not be asked later (dwfl_child.h). */
	if (!err && !libdw->dwfl_module_getdwarf((*ret_module)->mod, &bias))
		err = refused(libdw);
	if (!err)
		libdw->dwfl_module_addrinfo((*ret_module)->mod, start, &offset, &symbol, NULL, NULL,
					    NULL);
	return err;
}

bool cprof_dwfl_span(const struct cprof_elf *elf, uint64_t *ret_start, uint64_t *ret_end)
{
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr;
	const uint64_t page = 4096;
	uint64_t start = UINT64_MAX, end = 0;
	if (!cprof_image_look(elf->image, 0, (uint8_t *)&ehdr, sizeof(ehdr)) ||
	    ehdr.e_phentsize != sizeof(phdr))
		return false;
	for (uint64_t i = 0; i < ehdr.e_phnum && i < SEGMENTS_MAX; i++) {
		if (!cprof_image_look(elf->image, ehdr.e_phoff + i * sizeof(phdr), (uint8_t *)&phdr,
				      sizeof(phdr)))
			return false;
		if (phdr.p_type != PT_LOAD || phdr.p_memsz > UINT64_MAX - page - phdr.p_vaddr)
			continue;
		/* libdwfl takes the first segment, rounded down to its own alignment, to be at the start. */
		const uint64_t align = phdr.p_align ? phdr.p_align : 1;
		const uint64_t low = phdr.p_vaddr & -align;
		const uint64_t top = (phdr.p_vaddr + phdr.p_memsz + page - 1) & -page;
		start = low < start ? low : start;
		end = top > end ? top : end;
	}
	*ret_start = start;
	*ret_end = end;
	return start < end;
}
