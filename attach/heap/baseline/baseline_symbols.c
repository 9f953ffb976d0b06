/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/baseline_symbols.h"

#include <string.h>
#include <sys/mman.h>

#include "attach/heap/baseline/baseline_memory.h"
#include "symbolize/elf/elf_file.h"
#include "symbolize/process/debug_file.h"

#define SYMBOLS_MAX ((size_t)4 << 20)

/* What the file's addresses are moved by where `map` has it; false: nothing of its segments is in there. */
static bool slide_of(const struct cprof_module *module, const struct cprof_map *map,
		     uint64_t *ret_slide)
{
	for (size_t i = 0; i < module->n_segments; i++) {
		const struct cprof_segment *segment = &module->segments[i];
		const uint64_t first_page = segment->offset & ~(CPROF_BASELINE_PAGE - 1);
		if (map->offset < first_page ||
		    map->offset >= segment->offset + segment->file_size ||
		    ((map->prot & PROT_EXEC) != 0) != ((segment->flags & PF_X) != 0))
			continue;
		*ret_slide = map->start - map->offset - (segment->file_addr - segment->offset);
		return true;
	}
	return false;
}

static struct cprof_error *each_of(struct cprof_elf *elf, uint32_t type, uint64_t slide,
				   cprof_baseline_symbol_fn *fn, void *ctx)
{
	const struct cprof_section *table = cprof_elf_section_of_type(elf, type);
	const struct cprof_section *names = table ? cprof_elf_section_at(elf, table->link) : NULL;
	size_t n = names ? table->size / sizeof(Elf64_Sym) : 0;
	n = n < SYMBOLS_MAX ? n : SYMBOLS_MAX;
	const uint8_t *bytes = n ? cprof_section_at(table, 0, n * sizeof(Elf64_Sym)) : NULL;
	const uint8_t *text = bytes ? cprof_section_at(names, 0, names->size) : NULL;
	size_t text_len = text ? names->size : 0;
	while (text_len && text[text_len - 1])
		text_len--;
	struct cprof_error *err = NULL;
	for (size_t i = 1; text_len && !err && i < n; i++) {
		Elf64_Sym sym;
		memcpy(&sym, bytes + i * sizeof(sym), sizeof(sym));
		const unsigned char kind = ELF64_ST_TYPE(sym.st_info);
		if ((kind != STT_OBJECT && kind != STT_NOTYPE) || sym.st_shndx == SHN_UNDEF ||
		    !sym.st_value || sym.st_name >= text_len || !text[sym.st_name])
			continue;
		err = fn(ctx, (const char *)text + sym.st_name, sym.st_value + slide, sym.st_size);
	}
	return err;
}

static struct cprof_error *each_in(struct cprof_elf *elf, uint64_t slide,
				   cprof_baseline_symbol_fn *fn, void *ctx)
{
	struct cprof_error *err = elf ? each_of(elf, SHT_SYMTAB, slide, fn, ctx) : NULL;
	return elf && !err ? each_of(elf, SHT_DYNSYM, slide, fn, ctx) : err;
}

static struct cprof_error *none_but_memory(struct cprof_error *err)
{
	if (!err || err->code == CPROF_ERR_NO_MEMORY)
		return err;
	cprof_error_free(err);
	return NULL;
}

struct cprof_error *cprof_baseline_each_symbol(struct cprof_module *module,
					       const struct cprof_map *map,
					       cprof_baseline_symbol_fn *fn, void *ctx)
{
	struct cprof_elf *elf = NULL, *mini = NULL, *debug = NULL;
	uint64_t slide;
	if (!module->image || !slide_of(module, map, &slide))
		return NULL;
	struct cprof_error *err = none_but_memory(cprof_elf_open(module->image, true, &elf));
	if (err || !elf)
		return err;
	const struct cprof_debug_roots roots = { .target_root = module->root,
						 .module_path = module->path };
	err = each_in(elf, slide, fn, ctx);
	if (!err)
		err = cprof_debug_file_unpack(elf, &mini);
	if (!err)
		err = each_in(mini, slide, fn, ctx);
	if (!err && !cprof_elf_section_of_type(elf, SHT_SYMTAB))
		err = cprof_debug_file_find(elf, &roots, NULL, &debug);
	if (!err)
		err = each_in(debug, slide, fn, ctx);
	cprof_elf_free(debug);
	cprof_elf_free(mini);
	cprof_elf_free(elf);
	return err;
}

/* ---- one of some names ---- */

struct search {
	const char *const *names;
	size_t n;
	struct cprof_baseline_symbol found;
};

static struct cprof_error *look(void *ctx, const char *name, uint64_t addr, uint64_t size)
{
	struct search *search = ctx;
	/* An earlier name is the better one. */
	const size_t upto = search->found.addr ? search->found.name : search->n;
	for (size_t i = 0; i < upto; i++) {
		if (strcmp(search->names[i], name) == 0) {
			search->found.addr = addr;
			search->found.size = size;
			search->found.name = i;
			break;
		}
	}
	return NULL;
}

struct cprof_error *cprof_baseline_find_symbol(struct cprof_maps *maps,
					       struct cprof_modules *modules,
					       const char *const *names, size_t n,
					       struct cprof_baseline_symbol *ret_symbol)
{
	struct search search = { .names = names, .n = n };
	*ret_symbol = (struct cprof_baseline_symbol){ 0 };
	for (size_t i = 0; i < maps->n_sorted; i++) {
		struct cprof_map *map = maps->sorted[i];
		struct cprof_module *module;
		if (!(map->prot & PROT_EXEC) || !map->inode)
			continue;
		struct cprof_error *err = cprof_modules_get(modules, maps, map, &module);
		if (!err)
			err = cprof_baseline_each_symbol(module, map, look, &search);
		if (err)
			return err;
		if (search.found.addr) {
			*ret_symbol = search.found;
			ret_symbol->map = map;
			return NULL;
		}
	}
	return NULL;
}
