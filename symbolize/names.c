#include "symbolize/names.h"

#include <stdlib.h>

#include "symbolize/debug_file.h"
#include "symbolize/plt.h"

static void names_free(void *data)
{
	struct cprof_names *names = data;
	cprof_dwarf_free(names->dwarf);
	cprof_symbols_deinit(&names->symbols);
	cprof_elf_free(names->alt);
	cprof_elf_free(names->debug);
	cprof_elf_free(names->mini);
	cprof_elf_free(names->self);
	free(names->plt_names);
	cprof_buffer_deinit(&names->trail);
	free(names);
}

static struct cprof_error *add_table(struct cprof_names *names, struct cprof_elf *elf,
				     uint32_t type, size_t *ret_added)
{
	const struct cprof_section *table = elf ? cprof_elf_section_of_type(elf, type) : NULL;
	*ret_added = 0;
	return table ? cprof_symbols_add_table(&names->symbols, elf, table, ret_added) : NULL;
}

/*
 * The fullest table wins and holds what the others have: .symtab of the debug file, else of the module, else
 * mini debug info together with .dynsym (it leaves out what is there).
 */
static struct cprof_error *read_symbols(struct cprof_names *names)
{
	size_t added;
	struct cprof_error *err = add_table(names, names->debug, SHT_SYMTAB, &added);
	if (!err && !added)
		err = add_table(names, names->self, SHT_SYMTAB, &added);
	if (!err && !added) {
		err = cprof_debug_file_unpack(names->self, &names->mini);
		if (!err)
			err = add_table(names, names->mini, SHT_SYMTAB, &added);
		if (!err)
			err = add_table(names, names->self, SHT_DYNSYM, &added);
	}
	if (!err)
		err = cprof_plt_add(names->self, &names->plt_names, &names->symbols);
	return err ? err : cprof_symbols_sort(&names->symbols);
}

static struct cprof_error *read_dwarf(struct cprof_names *names,
				      const struct cprof_debug_roots *roots)
{
	struct cprof_error *err = cprof_dwarf_new(names->self, NULL, &names->dwarf);
	if (err || names->dwarf || !names->debug)
		return err;
	err = cprof_debug_file_alt(names->debug, roots, &names->trail, &names->alt);
	return err ? err : cprof_dwarf_new(names->debug, names->alt, &names->dwarf);
}

static struct cprof_error *open_all(struct cprof_module *module, struct cprof_names *names)
{
	struct cprof_debug_roots roots = { module->root, module->path };
	struct cprof_error *err = cprof_elf_open(module->image, true, &names->self);
	if (err)
		return err;
	if (!cprof_elf_section(names->self, ".debug_info"))
		err = cprof_debug_file_find(names->self, &roots, &names->trail, &names->debug);
	if (!err)
		err = read_symbols(names);
	return err ? err : read_dwarf(names, &roots);
}

struct cprof_error *cprof_names_get(struct cprof_module *module, struct cprof_names **ret_names)
{
	if (!module->names.data) {
		struct cprof_names *names = calloc(1, sizeof(*names));
		if (!names)
			return cprof_error_no_memory();
		struct cprof_error *err = open_all(module, names);
		if (err && err->code == CPROF_ERR_NO_MEMORY) {
			names_free(names);
			return err;
		}
		if (err)
			cprof_buffer_printf(&names->trail, "%s: %s\n", module->path, err->message);
		cprof_error_free(err);
		module->names.data = names;
		module->names.free = names_free;
	}
	*ret_names = module->names.data;
	return NULL;
}
