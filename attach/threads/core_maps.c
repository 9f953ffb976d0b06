/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/threads/core_maps.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/array.h"
#include "base/search.h"
#include "symbolize/elf/elf_headers.h"

#define FILES_MAX 1000000

static const struct cprof_core_mapping *mapping_at(const struct cprof_core_file *core,
						   uint64_t addr)
{
	size_t at = CPROF_SEARCH(i, core->n_mappings, core->mappings[i].end <= addr);
	return at < core->n_mappings && core->mappings[at].start <= addr ? &core->mappings[at]
									 : NULL;
}

/* The build-id in the notes of the ELF image that begins at `start` in the core's memory; its length or 0. */
static size_t build_id_at(const struct cprof_core_file *core, uint64_t start, uint8_t *build_id)
{
	size_t n = 0;
	struct cprof_image *image;
	struct cprof_elf_headers headers;
	const uint8_t *bytes = cprof_core_file_dumped(core, start, &n);
	struct cprof_error *err =
		bytes ? cprof_image_borrow((uint8_t *)(uintptr_t)bytes, n, &image) : NULL;
	if (!bytes || err) {
		cprof_error_free(err);
		return 0;
	}
	err = cprof_elf_headers_read(image, &headers);
	n = err ? 0 : cprof_elf_headers_build_id(&headers, build_id);
	cprof_error_free(err);
	cprof_image_free(image);
	return n;
}

struct file { /* one mapped path */
	const char *path;
	struct cprof_module *module; /* NULL: not to be used */
};

struct opening {
	struct cprof_core_file *core;
	const char *exe;
	struct cprof_modules *modules;
	struct cprof_core_maps_files *files;
	struct file *known; /* owned */
	size_t n_known, cap_known;
};

static void remember_path(char *to, size_t n, const char *path, size_t *count)
{
	if ((*count)++ == 0)
		snprintf(to, n, "%s", path);
}

/* The program itself is looked for where the user says; it holds the entry point. */
static bool is_program(const struct cprof_core_file *core, const char *path)
{
	const struct cprof_core_mapping *entry = mapping_at(core, core->entry);
	return entry && strcmp(entry->path, path) == 0;
}

/* Where the file that `mapping` is of begins in memory: its mappings follow one another. */
static uint64_t first_page(const struct cprof_core_file *core,
			   const struct cprof_core_mapping *mapping)
{
	while (mapping > core->mappings && mapping->offset != 0 &&
	       strcmp(mapping[-1].path, mapping->path) == 0)
		mapping--;
	return mapping->start;
}

static struct cprof_error *open_path(struct opening *opening,
				     const struct cprof_core_mapping *mapping, struct file *file)
{
	uint8_t build_id[CPROF_BUILD_ID_MAX];
	bool program = opening->exe && is_program(opening->core, mapping->path);
	const char *path = program ? opening->exe : mapping->path;
	struct cprof_error *err = cprof_modules_open(opening->modules, path, &file->module);
	if (err) {
		file->module = NULL;
		if (program || err->code == CPROF_ERR_NO_MEMORY)
			return err; /* the user named it, so it has to be there */
		bool no_elf =
			err->code == CPROF_ERR_BAD_DATA; /* a mapped data file: none of ours */
		cprof_error_free(err);
		if (no_elf)
			return NULL;
		remember_path(opening->files->first_missing, sizeof(opening->files->first_missing),
			      path, &opening->files->missing);
		return NULL;
	}
	size_t n = build_id_at(opening->core, first_page(opening->core, mapping), build_id);
	if (n && file->module->build_id_len &&
	    (n != file->module->build_id_len || memcmp(build_id, file->module->build_id, n) != 0)) {
		file->module = NULL;
		remember_path(opening->files->first_wrong, sizeof(opening->files->first_wrong),
			      path, &opening->files->wrong);
		return NULL;
	}
	opening->files->opened++;
	return NULL;
}

/* The file at `mapping`, opened on first sight. Its mappings follow one another, so the latest is asked first. */
static struct cprof_error *file_of(struct opening *opening,
				   const struct cprof_core_mapping *mapping,
				   struct cprof_module **ret_module)
{
	for (size_t i = opening->n_known; i-- > 0;) {
		if (strcmp(opening->known[i].path, mapping->path) == 0) {
			*ret_module = opening->known[i].module;
			return NULL;
		}
	}
	if (opening->n_known == FILES_MAX ||
	    !CPROF_ARRAY_ROOM(opening->known, opening->n_known, opening->cap_known, 1))
		return cprof_error_no_memory();
	struct file *file = &opening->known[opening->n_known++];
	*file = (struct file){ .path = mapping->path };
	struct cprof_error *err = open_path(opening, mapping, file);
	*ret_module = file->module;
	return err;
}

static uint8_t prot_of(uint32_t flags)
{
	return (uint8_t)((flags & PF_R ? PROT_READ : 0) | (flags & PF_W ? PROT_WRITE : 0) |
			 (flags & PF_X ? PROT_EXEC : 0));
}

/* Add one range; `module` is what is mapped there, or NULL. */
static struct cprof_error *add_range(struct opening *opening, struct cprof_map *map,
				     struct cprof_module *module, struct cprof_maps *maps)
{
	if (module) {
		map->dev = module->dev;
		map->inode = module->inode;
	}
	const struct cprof_map *added;
	struct cprof_error *err = cprof_maps_add(maps, map, &added);
	if (err)
		return err;
	maps->all[added->id]->module = module;
	if (module && opening->core->entry >= map->start && opening->core->entry < map->end) {
		maps->exe_dev = module->dev;
		maps->exe_inode = module->inode;
	}
	return NULL;
}

/* Data files and devices are mapped too; only code needs to be opened. */
static struct cprof_error *add_segment(struct opening *opening,
				       const struct cprof_core_segment *segment,
				       struct cprof_maps *maps)
{
	const struct cprof_core_mapping *mapping = mapping_at(opening->core, segment->start);
	struct cprof_module *module = NULL;
	struct cprof_map map = {
		.start = segment->start,
		.end = segment->end,
		.prot = prot_of(segment->flags),
		.path = segment->start == opening->core->vdso ? "[vdso]" : "",
	};
	if (mapping) {
		map.path = mapping->path;
		map.offset = mapping->offset + (segment->start - mapping->start);
	}
	if (mapping && segment->flags & PF_X) {
		struct cprof_error *err = file_of(opening, mapping, &module);
		if (err)
			return err;
	}
	return add_range(opening, &map, module, maps);
}

/* The protection that the file asks for where it is mapped from `offset` on. */
static uint32_t flags_in_file(const struct cprof_module *module, uint64_t offset)
{
	for (size_t i = 0; module && i < module->n_segments; i++) {
		const struct cprof_segment *segment = &module->segments[i];
		uint64_t start = segment->offset & ~(uint64_t)4095;
		if (offset >= start && offset < segment->offset + segment->file_size)
			return segment->flags;
	}
	return 0;
}

/* gcore leaves out what can be read from the file: code has no segment at all then. */
static struct cprof_error *add_undumped(struct opening *opening,
					const struct cprof_core_mapping *mapping,
					struct cprof_maps *maps)
{
	struct cprof_module *module;
	if (cprof_core_file_segment(opening->core, mapping->start) ||
	    mapping->start >= mapping->end)
		return NULL;
	struct cprof_error *err = file_of(opening, mapping, &module);
	if (err)
		return err;
	struct cprof_map map = {
		.start = mapping->start,
		.end = mapping->end,
		.offset = mapping->offset,
		.prot = prot_of(flags_in_file(module, mapping->offset)),
		.path = mapping->path,
	};
	return add_range(opening, &map, module, maps);
}

struct cprof_error *cprof_core_maps_fill(struct cprof_core_file *core, const char *exe,
					 struct cprof_modules *modules, struct cprof_maps *maps,
					 struct cprof_core_maps_files *ret_files)
{
	*ret_files = (struct cprof_core_maps_files){ 0 };
	struct opening opening = {
		.core = core, .exe = exe, .modules = modules, .files = ret_files
	};
	struct cprof_error *err = NULL;
	/* What was dumped is surer than what we make of files, so it comes last and wins. */
	for (size_t i = 0; !err && i < core->n_mappings; i++)
		err = add_undumped(&opening, &core->mappings[i], maps);
	for (size_t i = 0; !err && i < core->n_segments; i++)
		err = add_segment(&opening, &core->segments[i], maps);
	free(opening.known);
	return err;
}
