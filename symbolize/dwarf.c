#include "symbolize/dwarf.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdlib.h>
#include <string.h>

struct cprof_dwarf {
	Elf *elf;
	Dwarf *dwarf;
};

void cprof_dwarf_free(struct cprof_dwarf *dwarf)
{
	if (!dwarf)
		return;
	dwarf_end(dwarf->dwarf);
	elf_end(dwarf->elf);
	free(dwarf);
}

struct cprof_error *cprof_dwarf_new(struct cprof_elf *elf, struct cprof_elf *alt,
				    struct cprof_dwarf **ret_dwarf)
{
	(void)alt;
	*ret_dwarf = NULL;
	if (!cprof_elf_section(elf, ".debug_info") ||
	    !cprof_image_at(elf->image, 0, elf->image->size))
		return NULL;
	struct cprof_dwarf *dwarf = calloc(1, sizeof(*dwarf));
	if (!dwarf)
		return cprof_error_no_memory();
	dwarf->elf = elf_memory((char *)elf->image->copy, elf->image->size);
	dwarf->dwarf = dwarf_begin_elf(dwarf->elf, DWARF_C_READ, NULL);
	if (!dwarf->dwarf) {
		cprof_dwarf_free(dwarf);
		return NULL;
	}
	*ret_dwarf = dwarf;
	return NULL;
}

static const char *linkage(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	const char *name = dwarf_formstring(dwarf_attr_integrate(die, DW_AT_linkage_name, &attr));
	return name ? name : "";
}

size_t cprof_dwarf_frames(struct cprof_dwarf *dwarf, uint64_t file_addr,
			  struct cprof_dwarf_frame *frames, size_t cap)
{
	Dwarf_Die cu, *scopes;
	if (!dwarf_addrdie(dwarf->dwarf, file_addr, &cu))
		return 0;
	Dwarf_Line *line = dwarf_getsrc_die(&cu, file_addr);
	const char *file = "";
	int line_no = 0, column = 0;
	if (line) {
		file = dwarf_linesrc(line, NULL, NULL);
		dwarf_lineno(line, &line_no);
		dwarf_linecol(line, &column);
	}
	int n_scopes = dwarf_getscopes(&cu, file_addr, &scopes);
	size_t n = 0;
	Dwarf_Files *files = NULL;
	size_t n_files = 0;
	dwarf_getsrcfiles(&cu, &files, &n_files);
	for (int i = 0; i < n_scopes && n < cap; i++) {
		int tag = dwarf_tag(&scopes[i]);
		if (tag != DW_TAG_subprogram && tag != DW_TAG_inlined_subroutine)
			continue;
		const char *name = dwarf_diename(&scopes[i]);
		int start = 0;
		Dwarf_Attribute attr;
		Dwarf_Word value;
		if (dwarf_formudata(dwarf_attr_integrate(&scopes[i], DW_AT_decl_line, &attr),
				    &value) == 0)
			start = (int)value;
		frames[n++] = (struct cprof_dwarf_frame){ name ? name : "", linkage(&scopes[i]),
							  file ? file : "", (uint32_t)line_no,
							  (uint32_t)column, (uint32_t)start };
		if (tag == DW_TAG_subprogram)
			break;
		line_no = column = 0;
		file = "";
		if (dwarf_formudata(dwarf_attr(&scopes[i], DW_AT_call_file, &attr), &value) == 0)
			file = dwarf_filesrc(files, value, NULL, NULL);
		if (dwarf_formudata(dwarf_attr(&scopes[i], DW_AT_call_line, &attr), &value) == 0)
			line_no = (int)value;
		if (dwarf_formudata(dwarf_attr(&scopes[i], DW_AT_call_column, &attr), &value) == 0)
			column = (int)value;
	}
	if (n_scopes > 0)
		free(scopes);
	if (!n && line && cap)
		frames[n++] = (struct cprof_dwarf_frame){
			"", "", file ? file : "", (uint32_t)line_no, (uint32_t)column, 0
		};
	return n;
}
