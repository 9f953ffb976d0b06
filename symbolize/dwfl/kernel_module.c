/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/dwfl/kernel_module.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "symbolize/dwfl/libdw.h"

struct session {
	struct cprof_libdw libdw;
	Dwfl *dwfl;
	Dwfl_Module *mod;
	uint8_t *bytes; /* owned; of the file, for libelf to change */
	size_t size;
};

/* ---- callbacks ---- */

static int find_elf(Dwfl_Module *mod, void **userdata, const char *name, Dwarf_Addr base,
		    char **file_name, Elf **elf)
{
	struct session *session = *userdata;
	(void)mod, (void)name, (void)base;
	*file_name = NULL;
	*elf = session->libdw.elf_memory((char *)session->bytes, session->size);
	return -1;
}

static int find_no_debuginfo(Dwfl_Module *mod, void **userdata, const char *name, Dwarf_Addr base,
			     const char *file_name, const char *link, GElf_Word crc,
			     char **debug_file_name)
{
	(void)mod, (void)userdata, (void)name, (void)base, (void)file_name, (void)link, (void)crc;
	*debug_file_name = NULL;
	return -1;
}

/* A section that the kernel does not tell of is not in memory: what is said of it is left as it is, and the rest still counts. */
static int section_address(Dwfl_Module *mod, void **userdata, const char *name, Dwarf_Addr base,
			   const char *section, Elf32_Word index, const GElf_Shdr *header,
			   Dwarf_Addr *addr)
{
	const struct session *session = *userdata;
	if (session->libdw.dwfl_linux_kernel_module_section_address(
		    mod, userdata, name, base, section, index, header, addr) != DWARF_CB_OK)
		*addr = (Dwarf_Addr)-1;
	return DWARF_CB_OK;
}

static const Dwfl_Callbacks callbacks = {
	.find_elf = find_elf,
	.find_debuginfo = find_no_debuginfo,
	.section_address = section_address,
};

/* ---- the session ---- */

static void end(struct session *session)
{
	if (session->dwfl)
		session->libdw.dwfl_end(session->dwfl);
	free(session->bytes);
}

static struct cprof_error *refused(const struct session *session)
{
	return cprof_error_new(CPROF_ERR_BAD_DATA, "libdwfl: %s", session->libdw.dwfl_errmsg(-1));
}

static struct cprof_error *copy_bytes(struct cprof_elf *elf, struct session *session)
{
	struct cprof_image *image = elf->image;
	if (!cprof_account_charge(image->account, CPROF_BUDGET_HELD, image->size))
		return cprof_error_new(CPROF_ERR_BAD_DATA, "it takes more than the budget allows");
	session->bytes = malloc(image->size);
	session->size = image->size;
	if (!session->bytes)
		return cprof_error_no_memory();
	return cprof_image_copy(image, 0, session->bytes, image->size)
		       ? NULL
		       : cprof_error_new(CPROF_ERR_BAD_DATA, "its bytes cannot be read");
}

/* The module where its code lies; all of it that libdwfl needs to know. */
static struct cprof_error *report(struct session *session, const struct cprof_elf *elf,
				  const char *name)
{
	const struct cprof_libdw *libdw = &session->libdw;
	uint64_t start = 0, size = 0;
	void **userdata;
	for (size_t i = 0; i < elf->n_sections; i++) {
		if (strcmp(elf->sections[i].name, ".text") == 0)
			size = elf->sections[i].size;
	}
	if (libdw->dwfl_linux_kernel_module_section_address(NULL, NULL, name, 0, ".text", 0, NULL,
							    &start) != DWARF_CB_OK ||
	    !start || start + size < start)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "the kernel does not tell where it is");
	session->dwfl = libdw->dwfl_begin(&callbacks);
	if (!session->dwfl)
		return cprof_error_no_memory();
	libdw->dwfl_report_begin_add(session->dwfl);
	session->mod = libdw->dwfl_report_module(session->dwfl, name, start, start + size);
	libdw->dwfl_report_end(session->dwfl, NULL, NULL);
	if (!session->mod)
		return refused(session);
	libdw->dwfl_module_info(session->mod, &userdata, NULL, NULL, NULL, NULL, NULL, NULL);
	*userdata = session;
	return NULL;
}

/* ---- its sections ---- */

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
					const struct session *session, Elf *from)
{
	Elf_Scn *scn = session->libdw.elf_getscn(from, index);
	Elf_Data *data = scn ? session->libdw.elf_rawdata(scn, NULL) : NULL;
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

static struct cprof_error *take_sections(struct cprof_elf *elf, const struct session *session)
{
	GElf_Addr bias;
	if (!session->libdw.dwfl_module_getdwarf(session->mod, &bias))
		return refused(session);
	Elf *from = session->libdw.dwfl_module_getelf(session->mod, &bias);
	struct cprof_error *err = from ? NULL : refused(session);
	for (size_t i = 1; i < elf->n_sections && !err; i++) {
		if (is_wanted(elf->sections[i].name))
			err = take_section(elf, i, session, from);
	}
	return err;
}

struct cprof_error *cprof_kernel_module_relocate(struct cprof_elf *elf, const char *name)
{
	struct session session = { 0 };
	if (elf->type != ET_REL)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "it is not relocatable");
	struct cprof_error *err = cprof_libdw_load(&session.libdw);
	if (!err)
		err = copy_bytes(elf, &session);
	if (!err)
		err = report(&session, elf, name);
	if (!err)
		err = take_sections(elf, &session);
	end(&session);
	return err;
}
