/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/dwarf/dwarf_split.h"

#include <dwarf.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/foreign_file.h"

#define NONE          UINT64_MAX
#define PATH_TEXT_MAX 4096
#define DEBUG_DIR     "/usr/lib/debug"

/* What one skeleton's unit is read from. */
struct cprof_dwarf_part {
	struct cprof_elf *elf;            /* owned; NULL: a part of the package */
	struct cprof_dwarf_slices slices; /* of the package; `file` borrows them */
	struct cprof_dwarf_file file;
	struct cprof_dwarf_unit *unit; /* borrowed from file */
};

void cprof_dwarf_split_init(struct cprof_dwarf_split *split, const struct cprof_dwarf_file *program)
{
	*split = (struct cprof_dwarf_split){ .program = program };
}

static void part_free(struct cprof_dwarf_part *part)
{
	if (!part)
		return;
	cprof_dwarf_file_deinit(&part->file);
	cprof_elf_free(part->elf);
	free(part);
}

void cprof_dwarf_split_deinit(struct cprof_dwarf_split *split)
{
	for (size_t i = 0; i < split->n_parts; i++)
		part_free(split->parts[i]);
	free(split->parts);
	cprof_map64_deinit(&split->of);
	cprof_elf_free(split->package_elf);
	*split = (struct cprof_dwarf_split){ 0 };
}

/* ---- opening ---- */

static struct cprof_elf *open_elf(const char *root, const char *path, struct cprof_budget *budget)
{
	CPROF_AUTO(close) int fd = cprof_foreign_file_open_below(root, path);
	struct cprof_image *image;
	struct cprof_elf *elf = NULL;
	struct cprof_error *err = fd < 0 ? NULL : cprof_image_open(fd, path, budget, &image);
	if (fd >= 0 && !err)
		err = cprof_elf_open(image, false, &elf);
	cprof_error_free(err);
	return elf;
}

/* dir/name below the target's root, then below ours; `wanted` decides whether the file is the one. */
static struct cprof_elf *open_in_roots(const struct cprof_dwarf_split *split, const char *dir,
				       const char *name, const char *wanted)
{
	char path[PATH_TEXT_MAX];
	int n = snprintf(path, sizeof(path), "%s%s", dir, name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return NULL;
	for (const char *root = split->root;; root = "") {
		struct cprof_elf *elf =
			open_elf(root, path, cprof_image_budget(split->program->elf->image));
		if (elf && cprof_elf_has_section(elf, wanted))
			return elf;
		cprof_elf_free(elf);
		if (!*root)
			return NULL;
	}
}

/* ---- the package ---- */

static void open_package(struct cprof_dwarf_split *split)
{
	static const char *const dirs[] = { "", DEBUG_DIR };
	char name[PATH_TEXT_MAX];
	split->package_tried = true;
	int n = snprintf(name, sizeof(name), "%s.dwp", split->program_path);
	if (split->program_path[0] != '/' || n < 0 || (size_t)n >= sizeof(name))
		return;
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]) && !split->package_elf; i++)
		split->package_elf = open_in_roots(split, dirs[i], name, ".debug_cu_index");
	if (split->package_elf && !cprof_dwarf_package_init(&split->package, split->package_elf)) {
		cprof_elf_free(split->package_elf);
		split->package_elf = NULL;
	}
}

/* The unit of `file` that belongs to `skeleton`: the id in both says so, not the file's name. */
static struct cprof_dwarf_unit *find_unit(struct cprof_dwarf_file *file,
					  const struct cprof_dwarf_unit *skeleton)
{
	cprof_dwarf_file_scan(file);
	for (size_t i = 0; i < file->n_units; i++) {
		struct cprof_dwarf_unit *unit = cprof_dwarf_file_unit(file, file->units[i]->offset);
		if (!unit || unit->dwo_id != skeleton->dwo_id || unit->type == DW_UT_split_type)
			continue;
		unit->addr_base = skeleton->addr_base;
		unit->low_pc = skeleton->low_pc;
		unit->ranges_base = skeleton->split_ranges_base;
		return unit;
	}
	return NULL;
}

static bool part_from_package(struct cprof_dwarf_split *split,
			      const struct cprof_dwarf_unit *skeleton,
			      struct cprof_dwarf_part *part)
{
	if (!split->package_tried)
		open_package(split);
	if (!split->package_elf ||
	    !cprof_dwarf_package_find(&split->package, skeleton->dwo_id, &part->slices))
		return false;
	cprof_dwarf_file_init_package(&part->file, split->package_elf, &part->slices,
				      split->program);
	part->unit = find_unit(&part->file, skeleton);
	if (!part->unit)
		cprof_dwarf_file_deinit(&part->file);
	return part->unit != NULL;
}

/* ---- single files ---- */

/* Where it was compiled to; else beside the program, with which it may have been moved. */
static struct cprof_elf *open_dwo(const struct cprof_dwarf_split *split,
				  const struct cprof_dwarf_unit *skeleton, bool beside)
{
	char dir[PATH_TEXT_MAX];
	const char *name = skeleton->dwo_name, *path = split->program_path;
	const char *slash = strrchr(beside ? path : name, '/');
	int n = 0;
	if (beside) {
		const char *base = strrchr(name, '/');
		name = base ? base + 1 : name;
		if (!slash)
			return NULL;
		n = snprintf(dir, sizeof(dir), "%.*s/", (int)(slash - path), path);
	} else {
		n = snprintf(dir, sizeof(dir), "%s%s", name[0] == '/' ? "" : skeleton->comp_dir,
			     name[0] == '/' ? "" : "/");
	}
	return n < 0 || (size_t)n >= sizeof(dir)
		       ? NULL
		       : open_in_roots(split, dir, name, ".debug_info.dwo");
}

static bool part_from_dwo(struct cprof_dwarf_split *split, const struct cprof_dwarf_unit *skeleton,
			  struct cprof_dwarf_part *part)
{
	for (int beside = 0; beside < 2; beside++) {
		part->elf = open_dwo(split, skeleton, beside != 0);
		if (part->elf &&
		    cprof_dwarf_file_init_split(&part->file, part->elf, split->program))
			part->unit = find_unit(&part->file, skeleton);
		if (part->unit)
			return true;
		cprof_dwarf_file_deinit(&part->file);
		cprof_elf_free(part->elf);
		part->elf = NULL;
	}
	return false;
}

struct cprof_dwarf_unit *cprof_dwarf_split_unit(struct cprof_dwarf_split *split,
						const struct cprof_dwarf_unit *skeleton)
{
	uint64_t *place = cprof_map64_put(&split->of, skeleton->offset, NULL);
	if (!place || *place == NONE || !split->root || !skeleton->dwo_id)
		return NULL;
	if (!*place) {
		*place = NONE;
		struct cprof_dwarf_part *part = calloc(1, sizeof(*part));
		if (!part ||
		    (!part_from_package(split, skeleton, part) &&
		     !part_from_dwo(split, skeleton, part)) ||
		    !CPROF_ARRAY_ROOM(split->parts, split->n_parts, split->cap_parts, 1)) {
			part_free(part);
			return NULL;
		}
		split->parts[split->n_parts++] = part;
		*place = split->n_parts;
	}
	return split->parts[*place - 1]->unit;
}
