/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/unwind/switch_sites.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "symbolize/elf/elf_file.h"

#define CHUNK    (256u << 10)
#define LOOKS    256u           /* at files: a process with more is hardly one of Go's */
#define CODE_MAX (512ull << 20) /* of one mapping: the largest Go programs have a quarter of that */

/* Stripped programs, plugins and libraries have one of these still. */
static bool is_go(const struct cprof_module *module)
{
	static const char *const marks[] = { ".note.go.buildid", ".go.buildinfo", ".gopclntab" };
	struct cprof_elf *elf;
	bool has = false;
	if (module->kind != CPROF_MODULE_FILE || !module->image ||
	    module->arch != &cprof_arch_x86_64)
		return false;
	struct cprof_error *err = cprof_elf_open(module->image, true, &elf);
	if (err) {
		cprof_error_free(err);
		return false;
	}
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		has = has || cprof_elf_has_section(elf, marks[i]);
	cprof_elf_free(elf);
	return has;
}

static void search(struct cprof_switch_sites *sites, const struct cprof_memory *memory,
		   const struct cprof_map *map, uint8_t *chunk)
{
	const uint64_t end = map->end - map->start > CODE_MAX ? map->start + CODE_MAX : map->end;
	for (uint64_t at = map->start; at < end && sites->n < CPROF_SWITCH_SITES_MAX;
	     at += CHUNK - 2 * CPROF_SWITCH_CODE_MAX) {
		const size_t n = end - at < CHUNK ? (size_t)(end - at) : CHUNK;
		if (!memory->read(memory->ctx, at, chunk, n))
			return;
		size_t found = cprof_unwind_switch_sites(chunk, n, at, sites->all + sites->n,
							 CPROF_SWITCH_SITES_MAX - sites->n);
		/* Pieces overlap. */
		while (found && sites->n &&
		       sites->all[sites->n].ret == sites->all[sites->n - 1].ret) {
			sites->all[sites->n] = sites->all[sites->n + found - 1];
			found--;
		}
		sites->n += found;
	}
}

struct cprof_error *cprof_switch_sites_find(struct cprof_switch_sites *sites,
					    const struct cprof_maps *maps,
					    struct cprof_modules *modules)
{
	CPROF_AUTO(free) uint8_t *chunk = malloc(CHUNK);
	if (!chunk)
		return cprof_error_no_memory();
	unsigned looks = 0;
	sites->n = 0;
	for (size_t i = 0; i < maps->n_sorted && looks < LOOKS; i++) {
		struct cprof_module *module;
		struct cprof_map *map = maps->sorted[i];
		if (!(map->prot & PROT_EXEC) || !map->inode)
			continue;
		looks++;
		struct cprof_error *err = cprof_modules_get(modules, maps, map, &module);
		if (err)
			return err;
		if (is_go(module))
			search(sites, &maps->memory, map, chunk);
	}
	return NULL;
}
