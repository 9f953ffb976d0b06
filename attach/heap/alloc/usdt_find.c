/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/alloc/usdt_find.h"

#include <string.h>
#include <sys/mman.h>

#include "attach/heap/alloc/usdt_note.h"
#include "symbolize/elf/elf_file.h"

#define PROVIDER "otel_memory"

/* ---- one probe ---- */

static void read_args(struct cprof_usdt_site *site, const char *text)
{
	struct cprof_usdt_operand operands[CPROF_USDT_ARGS_MAX];
	const size_t want = site->frees ? 1 : CPROF_USDT_ARGS;
	size_t n;
	site->why_not = cprof_usdt_args_parse(text, operands, &n);
	if (!site->why_not && n < want)
		site->why_not = "its probe has not the arguments that it should have";
	if (!site->why_not)
		memcpy(site->args, operands, want * sizeof(operands[0]));
}

/* Where a file address is in the file, by the sections that lie there. 0: nowhere. */
static uint64_t file_offset(struct cprof_elf *elf, uint64_t addr)
{
	for (size_t i = 0; i < elf->n_sections; i++) {
		const struct cprof_section *section = &elf->sections[i];
		if (section->addr && section->type != SHT_NOBITS && addr >= section->addr &&
		    addr - section->addr < section->size)
			return section->offset + (addr - section->addr);
	}
	return 0;
}

static void add_site(struct cprof_usdt_sites *sites, const struct cprof_module *module,
		     struct cprof_elf *elf, struct cprof_map *map,
		     const struct cprof_usdt_note *note)
{
	const struct cprof_section *base = cprof_elf_section(elf, ".stapsdt.base");
	const uint64_t moved = base && note->base ? base->addr - note->base : 0; /* by prelink */
	struct cprof_usdt_site site = { .map = map, .frees = strcmp(note->name, "free") == 0 };
	if (!cprof_module_run_time(module, map, note->pc + moved, &site.addr))
		return; /* in another mapping of the file */
	if (sites->n == CPROF_USDT_SITES_MAX) {
		sites->too_many++;
		return;
	}
	read_args(&site, note->args);
	if (note->semaphore)
		site.semaphore = file_offset(elf, note->semaphore + moved);
	if (note->semaphore && !site.semaphore && !site.why_not)
		site.why_not = "the counter that switches its probe on is not in its file";
	sites->all[sites->n++] = site;
}

/* ---- all of them ---- */

static void look_at(struct cprof_usdt_sites *sites, const struct cprof_module *module,
		    struct cprof_elf *elf, struct cprof_map *map)
{
	const struct cprof_section *notes = cprof_elf_section(elf, ".note.stapsdt");
	const uint8_t *bytes = notes ? cprof_section_at(notes, 0, notes->size) : NULL;
	struct cprof_usdt_note note;
	size_t at = 0;
	if (elf->machine != EM_X86_64)
		return;
	while (bytes && cprof_usdt_note_next(bytes, notes->size, &at, &note)) {
		if (strcmp(note.provider, PROVIDER) == 0 &&
		    (strcmp(note.name, "alloc") == 0 || strcmp(note.name, "free") == 0))
			add_site(sites, module, elf, map, &note);
	}
}

struct cprof_error *cprof_usdt_find(const struct cprof_maps *maps, struct cprof_modules *modules,
				    struct cprof_usdt_sites *ret_sites)
{
	ret_sites->n = ret_sites->too_many = 0;
	for (size_t i = 0; i < maps->n_sorted; i++) {
		struct cprof_map *map = maps->sorted[i];
		struct cprof_module *module;
		struct cprof_elf *elf;
		if (!(map->prot & PROT_EXEC) || !map->inode)
			continue;
		struct cprof_error *err = cprof_modules_get(modules, maps, map, &module);
		if (err)
			return err;
		if (!module->image)
			continue;
		err = cprof_elf_open(module->image, true, &elf);
		if (err && err->code == CPROF_ERR_NO_MEMORY)
			return err;
		if (err) {
			cprof_error_free(err);
			continue;
		}
		look_at(ret_sites, module, elf, map);
		cprof_elf_free(elf);
	}
	return NULL;
}
