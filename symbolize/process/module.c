/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/module.h"

#include <errno.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/foreign_file.h"
#include "symbolize/elf/elf_file.h"
#include "symbolize/elf/elf_headers.h"
#include "symbolize/process/module_impl.h"
#include "symbolize/process/mapped_file.h"
#include "symbolize/process/mapped_image.h"

#define VDSO_MAX   (64 * 1024)
#define MAPPED_MAX ((size_t)128 << 20) /* of all files that are read from memory */

void cprof_modules_init(struct cprof_modules *modules)
{
	*modules = (struct cprof_modules){ 0 };
}

static void part_free(struct cprof_module_part *part)
{
	if (part->data && part->free)
		part->free(part->data);
	part->data = NULL;
}

static void module_free(struct cprof_module *module)
{
	if (!module)
		return;
	part_free(&module->unwind);
	part_free(&module->names);
	cprof_image_free(module->image);
	free(module->segments);
	free(module->root);
	free(module->path);
	free(module->why);
	free(module);
}

void cprof_modules_deinit(struct cprof_modules *modules)
{
	for (size_t i = 0; i < modules->n; i++)
		module_free(modules->all[i]);
	free(modules->all);
	cprof_map64_deinit(&modules->by_file);
	cprof_budget_deinit(&modules->budget);
	*modules = (struct cprof_modules){ 0 };
}

/* NULL: no memory. */
static struct cprof_module *module_new(const char *path)
{
	struct cprof_module *module = calloc(1, sizeof(*module));
	char *copy = strdup(path), *root = strdup("");
	if (!module || !copy || !root) {
		free(module);
		free(copy);
		free(root);
		return NULL;
	}
	module->path = copy;
	module->root = root;
	return module;
}

static uint64_t file_key(uint64_t dev, uint64_t inode, const char *path)
{
	uint64_t seed = inode ? 0 : cprof_hash_bytes(path, strlen(path));
	return cprof_hash_mix(cprof_hash_mix(seed, dev), inode);
}

/* Takes `module`, also on error. */
static struct cprof_error *append(struct cprof_modules *modules, struct cprof_module *module)
{
	uint64_t key = file_key(module->dev, module->inode, module->path);
	uint64_t *newest = CPROF_ARRAY_ROOM(modules->all, modules->n, modules->cap, 1)
				   ? cprof_map64_put(&modules->by_file, key, NULL)
				   : NULL;
	if (!newest) {
		module_free(module);
		return cprof_error_no_memory();
	}
	module->next_same = (uint32_t)*newest;
	module->id = (uint32_t)modules->n;
	*newest = module->id + 1;
	modules->all[modules->n++] = module;
	return NULL;
}

/* ---- opening ---- */

/* Where the file's notes are; from a section where no program header tells. */
static void read_build_id(struct cprof_module *module)
{
	struct cprof_elf *elf;
	struct cprof_error *err =
		module->build_id_len ? NULL : cprof_elf_open(module->image, true, &elf);
	if (!err && !module->build_id_len) {
		module->build_id_len = cprof_elf_build_id(elf, module->build_id);
		cprof_elf_free(elf);
	}
	cprof_error_free(err);
}

static void take_segment(struct cprof_module *module, const Elf64_Phdr *phdr)
{
	if (phdr->p_type == PT_GNU_EH_FRAME)
		module->eh_frame_hdr = phdr->p_vaddr;
	if (phdr->p_type == PT_LOAD)
		module->segments[module->n_segments++] = (struct cprof_segment){
			.file_addr = phdr->p_vaddr,
			.offset = phdr->p_offset,
			.file_size = phdr->p_filesz,
			.mem_size = phdr->p_memsz,
			.flags = phdr->p_flags,
		};
}

static struct cprof_error *read_elf(struct cprof_module *module)
{
	struct cprof_elf_headers headers;
	struct cprof_error *err = cprof_elf_headers_read(module->image, &headers);
	if (err)
		return err;
	module->arch = cprof_arch_by_machine(headers.file.e_machine);
	if (!module->arch)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED, "ELF machine %u is not supported",
				       headers.file.e_machine);
	module->segments = calloc(headers.n_segments + 1, sizeof(*module->segments));
	if (!module->segments)
		return cprof_error_no_memory();
	for (size_t i = 0; i < headers.n_segments; i++) {
		const Elf64_Phdr phdr = cprof_elf_headers_segment(&headers, i);
		take_segment(module, &phdr);
	}
	module->build_id_len = cprof_elf_headers_build_id(&headers, module->build_id);
	read_build_id(module);
	return NULL;
}

static void become_opaque(struct cprof_module *module, struct cprof_error *err)
{
	cprof_image_free(module->image);
	module->image = NULL;
	module->kind = CPROF_MODULE_OPAQUE;
	module->why = strdup(err->message);
	cprof_error_free(err);
}

static struct cprof_error *open_fd(struct cprof_module *module, int fd, struct cprof_budget *budget)
{
	struct cprof_error *err = cprof_image_open(fd, module->path, budget, &module->image);
	return err ? err : read_elf(module);
}

/* What a file that cannot be opened has in the process's memory. Takes the reason, which stays in the module; it is the error if there is nothing. */
static struct cprof_error *read_mapped(struct cprof_modules *modules, const struct cprof_maps *maps,
				       const struct cprof_map *map, struct cprof_module *module,
				       struct cprof_error *reason)
{
	const size_t left =
		modules->mapped_bytes < MAPPED_MAX ? MAPPED_MAX - modules->mapped_bytes : 0;
	struct cprof_error *err = cprof_mapped_image_read(maps, map, left, &module->image);
	if (!err) {
		modules->mapped_bytes += module->image->size; /* also where it is given up */
		err = read_elf(module);
	}
	if (err) {
		cprof_error_free(err);
		return reason;
	}
	module->kind = CPROF_MODULE_MAPPED;
	if (asprintf(&module->why,
		     "%s; what it exports is named all the same, from the process's memory",
		     reason->message) < 0)
		module->why = NULL;
	cprof_error_free(reason);
	return module->why ? NULL : cprof_error_no_memory();
}

static struct cprof_error *open_file(struct cprof_modules *modules, const struct cprof_maps *maps,
				     const struct cprof_map *map, struct cprof_module *module)
{
	module->kind = CPROF_MODULE_FILE;
	CPROF_AUTO(close) int fd = -1;
	bool copied;
	struct cprof_error *err = cprof_mapped_file_open(&modules->budget, maps, map, &fd, &copied);
	if (!err && copied) {
		module->only_uid = maps->uid;
		module->only_gid = maps->gid;
	}
	if (!err)
		return open_fd(module, fd, &modules->budget);
	return err->code == CPROF_ERR_NO_MEMORY ? err
						: read_mapped(modules, maps, map, module, err);
}

static struct cprof_error *open_vdso(const struct cprof_maps *maps, const struct cprof_map *map,
				     struct cprof_module *module)
{
	module->kind = CPROF_MODULE_VDSO;
	uint64_t size = map->end - map->start;
	if (size > VDSO_MAX || !maps->memory.read)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED, "%s cannot be read", map->path);
	uint8_t *bytes = malloc(size);
	if (!bytes)
		return cprof_error_no_memory();
	if (!maps->memory.read(maps->memory.ctx, map->start, bytes, size)) {
		free(bytes);
		return cprof_error_new(CPROF_ERR_OS, "%s cannot be read from the process",
				       map->path);
	}
	struct cprof_error *err = cprof_image_from_bytes(bytes, size, &module->image);
	return err ? err : read_elf(module);
}

/* ---- finding ---- */

static bool same_file(const struct cprof_module *module, const struct cprof_map *map)
{
	if (module->dev != map->dev || module->inode != map->inode)
		return false;
	/* An inode number may be used again by a new file while the old one is still mapped. */
	if (module->build_id_len && map->build_id_len &&
	    (module->build_id_len != map->build_id_len ||
	     memcmp(module->build_id, map->build_id, map->build_id_len) != 0))
		return false;
	return map->inode != 0 || strcmp(module->path, map->path) == 0;
}

static struct cprof_module *find(const struct cprof_modules *modules, const struct cprof_map *map)
{
	uint64_t key = file_key(map->dev, map->inode, map->path);
	const uint64_t *newest = cprof_map64_get(&modules->by_file, key);
	for (uint64_t id = newest ? *newest : 0; id; id = modules->all[id - 1]->next_same) {
		if (same_file(modules->all[id - 1], map))
			return modules->all[id - 1];
	}
	return NULL;
}

static struct cprof_error *open_any(struct cprof_modules *modules, const struct cprof_maps *maps,
				    const struct cprof_map *map, struct cprof_module *module)
{
	if (strcmp(map->path, "[vdso]") == 0)
		return open_vdso(maps, map, module);
	if (map->inode)
		return open_file(modules, maps, map, module);
	module->kind = CPROF_MODULE_ANONYMOUS;
	return NULL;
}

static bool same_inode(const char *a, const char *b)
{
	struct stat st_a, st_b;
	return stat(a, &st_a) == 0 && stat(b, &st_b) == 0 && st_a.st_dev == st_b.st_dev &&
	       st_a.st_ino == st_b.st_ino;
}

/*
 * Where the process sees the same files as we do, there is one place to look in, not two. Asked once for a process
 * and the program that it runs: it may have thousands of modules, and changes its root before it starts a program.
 */
static struct cprof_error *set_root(struct cprof_modules *modules, struct cprof_module *module,
				    const struct cprof_maps *maps)
{
	char root[64], mounts[64];
	pid_t pid = maps->pid;
	uint64_t key =
		cprof_hash_mix(cprof_hash_mix((uint64_t)pid, maps->exe_dev), maps->exe_inode);
	snprintf(root, sizeof(root), "/proc/%d/root", (int)pid);
	snprintf(mounts, sizeof(mounts), "/proc/%d/ns/mnt", (int)pid);
	if (pid && key != modules->root_of) {
		modules->root_of = key;
		modules->root_is_ours =
			same_inode(root, "/") && same_inode(mounts, "/proc/self/ns/mnt");
	}
	if (!pid || modules->root_is_ours)
		return NULL;
	char *copy = strdup(root);
	if (!copy)
		return cprof_error_no_memory();
	free(module->root);
	module->root = copy;
	return NULL;
}

static struct cprof_error *find_moved(struct cprof_modules *modules, const struct cprof_maps *maps,
				      struct cprof_map *map);

int cprof_modules_open_map(const struct cprof_maps *maps, const struct cprof_map *map)
{
	return cprof_mapped_file_find(maps, map);
}

/* The file that is mapped, opened if it is new; sets map->module. */
static struct cprof_error *open_own(struct cprof_modules *modules, const struct cprof_maps *maps,
				    struct cprof_map *map)
{
	struct cprof_module *module = module_new(map->path);
	if (!module)
		return cprof_error_no_memory();
	module->dev = map->dev;
	module->inode = map->inode;
	struct cprof_error *err = set_root(modules, module, maps);
	if (err) {
		module_free(module);
		return err;
	}
	err = open_any(modules, maps, map, module);
	if (err)
		become_opaque(module, err);
	/* Code made at run time, in memory that is shared (PHP's, .NET's). */
	if (module->kind == CPROF_MODULE_OPAQUE && cprof_maps_is_memory(map->path))
		module->kind = CPROF_MODULE_ANONYMOUS;
	err = append(modules, module);
	if (!err)
		map->module = module;
	return err;
}

/* Code in a file that is no program may be a copy as well. */
static struct cprof_error *find_own(struct cprof_modules *modules, const struct cprof_maps *maps,
				    struct cprof_map *map)
{
	map->module = find(modules, map);
	struct cprof_error *err = map->module ? NULL : open_own(modules, maps, map);
	if (err || map->module->kind != CPROF_MODULE_OPAQUE || !map->inode ||
	    !(map->prot & PROT_EXEC) || cprof_module_may_hold_moved(map))
		return err;
	return find_moved(modules, maps, map);
}

struct cprof_error *cprof_modules_get(struct cprof_modules *modules, const struct cprof_maps *maps,
				      struct cprof_map *map, struct cprof_module **ret_module)
{
	struct cprof_error *err = NULL;
	if (!map->module && cprof_module_may_hold_moved(map))
		err = find_moved(modules, maps, map);
	if (!err && !map->module)
		err = find_own(modules, maps, map);
	*ret_module = map->module;
	return err;
}

/*
 * The file that is mapped beside another one. It is not asked whether that is a copy itself, of what is beside it: a process can have
 * thousands of such mappings in a row.
 */
static struct cprof_error *get_beside(struct cprof_modules *modules, const struct cprof_maps *maps,
				      struct cprof_map *map, struct cprof_module **ret_module)
{
	*ret_module = map->module ? map->module : find(modules, map);
	if (*ret_module)
		return NULL;
	struct cprof_error *err = open_own(modules, maps, map);
	*ret_module = map->module;
	if (map->module && map->module->kind == CPROF_MODULE_OPAQUE)
		map->module = NULL; /* that is asked when it is looked at for its own sake */
	return err;
}

/* Text that was moved to memory is the text of the file around it. Asked once for a mapping. */
static struct cprof_error *find_moved(struct cprof_modules *modules, const struct cprof_maps *maps,
				      struct cprof_map *map)
{
	for (int below = 1; below >= 0; below--) {
		struct cprof_map *beside = cprof_module_neighbour(maps, map, below);
		struct cprof_module *module;
		uint64_t offset;
		struct cprof_error *err =
			beside ? get_beside(modules, maps, beside, &module) : NULL;
		if (err)
			return err;
		if (!beside || !cprof_module_moved(maps, beside, module, map, &offset))
			continue;
		map->moved = true;
		map->offset = offset;
		map->module = module;
		return NULL;
	}
	return NULL;
}

/* `module`, which opening `path` gave `err`. Takes both. */
static struct cprof_error *take_opened(struct cprof_modules *modules, struct cprof_module *module,
				       struct cprof_error *err, const char *path,
				       struct cprof_module **ret_module)
{
	if (err) {
		module_free(module);
		return cprof_error_wrap(err, "%s", path);
	}
	err = append(modules, module);
	if (!err)
		*ret_module = module;
	return err;
}

struct cprof_error *cprof_modules_open(struct cprof_modules *modules, const char *path,
				       struct cprof_module **ret_module)
{
	struct stat st;
	CPROF_AUTO(close) int fd = cprof_foreign_file_open(path);
	if (fd < 0 && errno == EINVAL)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "%s is no regular file", path);
	if (fd < 0 || fstat(fd, &st) < 0)
		return cprof_error_os(errno, "open %s", path);
	/* As a process's mapping would name it: what lies beside the file is found from anywhere, and through links. */
	CPROF_AUTO(free) char *real = realpath(path, NULL);
	struct cprof_module *module = module_new(real ? real : path);
	if (!module)
		return cprof_error_no_memory();
	module->kind = CPROF_MODULE_FILE;
	module->dev = (uint64_t)major(st.st_dev) << 32 | minor(st.st_dev);
	module->inode = st.st_ino;
	return take_opened(modules, module, open_fd(module, fd, &modules->budget), path,
			   ret_module);
}

struct cprof_error *cprof_modules_open_bytes(struct cprof_modules *modules, const char *path,
					     uint8_t *bytes, size_t n,
					     struct cprof_account *account,
					     struct cprof_module **ret_module)
{
	struct cprof_image *image;
	struct cprof_error *err = cprof_image_from_bytes(bytes, n, &image);
	if (err)
		return err;
	image->account = account;
	struct cprof_module *module = module_new(path);
	if (!module) {
		cprof_image_free(image);
		return cprof_error_no_memory();
	}
	module->kind = CPROF_MODULE_FILE;
	module->image = image;
	return take_opened(modules, module, read_elf(module), path, ret_module);
}

/* ---- addresses ---- */

bool cprof_module_file_addr(const struct cprof_module *module, const struct cprof_map *map,
			    uint64_t addr, uint64_t *ret_file_addr)
{
	if (module->kind == CPROF_MODULE_ANONYMOUS)
		return false;
	uint64_t offset = addr - map->start + map->offset;
	for (size_t i = 0; i < module->n_segments; i++) {
		const struct cprof_segment *segment = &module->segments[i];
		/* The kernel maps whole pages: bytes around the segment are visible too, but belong to others. */
		if (offset < segment->offset || offset - segment->offset >= segment->file_size)
			continue;
		if ((segment->flags & PF_X) == 0 && (map->prot & PROT_EXEC) != 0)
			continue;
		*ret_file_addr = offset - segment->offset + segment->file_addr;
		return true;
	}
	return false;
}

bool cprof_module_run_time(const struct cprof_module *module, const struct cprof_map *map,
			   uint64_t file_addr, uint64_t *ret_addr)
{
	for (size_t i = 0; i < module->n_segments; i++) {
		const struct cprof_segment *segment = &module->segments[i];
		if (file_addr < segment->file_addr ||
		    file_addr - segment->file_addr >= segment->file_size)
			continue;
		uint64_t offset = file_addr - segment->file_addr + segment->offset;
		if (offset < map->offset || offset - map->offset >= map->end - map->start)
			return false;
		*ret_addr = map->start + (offset - map->offset);
		return true;
	}
	return false;
}

const uint8_t *cprof_module_bytes(const struct cprof_module *module, uint64_t file_addr, uint64_t n)
{
	for (size_t i = 0; module->image && i < module->n_segments; i++) {
		const struct cprof_segment *segment = &module->segments[i];
		uint64_t at = file_addr - segment->file_addr;
		if (file_addr >= segment->file_addr && at < segment->file_size &&
		    n <= segment->file_size - at)
			return cprof_image_at(module->image, segment->offset + at, n);
	}
	return NULL;
}
