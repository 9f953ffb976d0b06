/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/search.h"
#include "cprof/buffer.h"

#define DELETED " (deleted)"
#define TURNS   8 /* how often a text that contradicts itself is read */
/* A process at vm.max_map_count (65,530 by default, often raised to 262,144) still fits. */
#define MAPS_TEXT_MAX ((size_t)512 << 20)
#define STATUS_MAX    ((size_t)1 << 16)

void cprof_maps_init(struct cprof_maps *maps, pid_t pid, struct cprof_memory memory)
{
	*maps = (struct cprof_maps){ .pid = pid, .memory = memory };
}

static void map_free(struct cprof_map *map)
{
	if (!map)
		return;
	if (map->machine)
		map->free_machine(map->machine);
	free((char *)(uintptr_t)map->path);
	free(map);
}

void cprof_maps_deinit(struct cprof_maps *maps)
{
	for (size_t i = 0; i < maps->n_all; i++)
		map_free(maps->all[i]);
	free(maps->all);
	free(maps->sorted);
	*maps = (struct cprof_maps){ 0 };
}

/* Index in sorted[] of the first mapping that ends above `addr`. */
static size_t first_ending_above(const struct cprof_maps *maps, uint64_t addr)
{
	return CPROF_SEARCH(i, maps->n_sorted, maps->sorted[i]->end <= addr);
}

bool cprof_maps_is_memory(const char *path)
{
	static const char *const begins[] = { "/memfd:", "/dev/zero", "/anon_hugepage", "/SYSV" };
	for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
		if (strncmp(path, begins[i], strlen(begins[i])) == 0)
			return true;
	}
	return false;
}

struct cprof_map *cprof_maps_find(const struct cprof_maps *maps, uint64_t addr)
{
	size_t at = first_ending_above(maps, addr);
	if (at < maps->n_sorted && maps->sorted[at]->start <= addr)
		return maps->sorted[at];
	return NULL;
}

/* Put a copy of `map` into all[] (not yet into sorted[]). */
static struct cprof_error *remember(struct cprof_maps *maps, const struct cprof_map *map,
				    struct cprof_map **ret_map)
{
	struct cprof_map *copy = malloc(sizeof(*copy));
	char *path = strdup(map->path ? map->path : "");
	if (!copy || !path || !CPROF_ARRAY_ROOM(maps->all, maps->n_all, maps->cap_all, 1)) {
		free(copy);
		free(path);
		return cprof_error_no_memory();
	}
	*copy = *map;
	copy->path = path;
	/* Of memory without a file the kernel tells its address (MMAP2) or nothing (/proc). */
	if (!map->inode && !map->moved && path[0] != '/')
		copy->offset = 0;
	copy->id = (uint32_t)maps->n_all;
	copy->live = true;
	copy->machine = NULL;
	maps->all[maps->n_all++] = copy;
	*ret_map = copy;
	return NULL;
}

static void remove_at(struct cprof_maps *maps, size_t at)
{
	maps->sorted[at]->live = false;
	memmove(&maps->sorted[at], &maps->sorted[at + 1],
		(maps->n_sorted - at - 1) * sizeof(*maps->sorted));
	maps->n_sorted--;
}

/* The caller has reserved the room. */
static void insert_sorted(struct cprof_maps *maps, struct cprof_map *map)
{
	size_t at = first_ending_above(maps, map->start);
	memmove(&maps->sorted[at + 1], &maps->sorted[at],
		(maps->n_sorted - at) * sizeof(*maps->sorted));
	maps->sorted[at] = map;
	maps->n_sorted++;
}

/* The part [start, end) of `old`, which is being split, as a mapping of its own. */
static struct cprof_error *keep_part(struct cprof_maps *maps, const struct cprof_map *old,
				     uint64_t start, uint64_t end)
{
	struct cprof_map part = *old;
	part.start = start;
	part.end = end;
	part.offset = old->offset + (start - old->start);
	struct cprof_map *kept;
	struct cprof_error *err = remember(maps, &part, &kept);
	if (!err)
		insert_sorted(maps, kept);
	return err;
}

/* Make [start, end) free of live mappings; what sticks out on either side stays. */
static struct cprof_error *cut(struct cprof_maps *maps, uint64_t start, uint64_t end)
{
	size_t at = first_ending_above(maps, start);
	while (at < maps->n_sorted && maps->sorted[at]->start < end) {
		const struct cprof_map *old = maps->sorted[at];
		if (!CPROF_ARRAY_ROOM(maps->sorted, maps->n_sorted, maps->cap_sorted, 3))
			return cprof_error_no_memory();
		remove_at(maps, at);
		struct cprof_error *err = NULL;
		if (old->start < start)
			err = keep_part(maps, old, old->start, start);
		if (!err && old->end > end)
			err = keep_part(maps, old, end, old->end);
		if (err)
			return err;
		at = first_ending_above(maps, start);
	}
	return NULL;
}

struct cprof_error *cprof_maps_add(struct cprof_maps *maps, const struct cprof_map *map,
				   const struct cprof_map **ret_map)
{
	if (map->start >= map->end)
		return cprof_error_new(CPROF_ERR_BAD_DATA,
				       "mapping [%" PRIx64 ", %" PRIx64 ") is empty", map->start,
				       map->end);
	if (!CPROF_ARRAY_ROOM(maps->sorted, maps->n_sorted, maps->cap_sorted, 1))
		return cprof_error_no_memory();
	struct cprof_map *added;
	struct cprof_error *err = cut(maps, map->start, map->end);
	if (!err)
		err = remember(maps, map, &added);
	if (err)
		return err;
	added->module = NULL;
	insert_sorted(maps, added);
	maps->generation++;
	if (ret_map)
		*ret_map = added;
	return NULL;
}

void cprof_maps_clear(struct cprof_maps *maps)
{
	for (size_t i = 0; i < maps->n_sorted; i++)
		maps->sorted[i]->live = false;
	maps->n_sorted = 0;
	maps->generation++;
}

static bool main_program(const struct cprof_maps *maps, const struct cprof_map *map)
{
	return maps->exe_inode && map->inode == maps->exe_inode && map->dev == maps->exe_dev;
}

struct cprof_map *cprof_maps_main(const struct cprof_maps *maps)
{
	struct cprof_map *first_file = NULL;
	for (size_t i = 0; i < maps->n_sorted; i++) {
		struct cprof_map *map = maps->sorted[i];
		if (!(map->prot & PROT_EXEC))
			continue;
		if (main_program(maps, map))
			return map;
		if (!first_file && map->inode)
			first_file = map;
	}
	return first_file;
}

/* One line of /proc/PID/maps, without its newline, into `map`; map->path is allocated. */
static bool parse_line(char *line, struct cprof_map *map)
{
	char perms[5];
	unsigned long major_no, minor_no;
	int path_at = 0;
	*map = (struct cprof_map){ 0 };
	int n = sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %lx:%lx %" SCNu64 " %n",
		       &map->start, &map->end, perms, &map->offset, &major_no, &minor_no,
		       &map->inode, &path_at);
	if (n < 7 || strlen(perms) != 4 || map->start >= map->end)
		return false;
	map->prot =
		(uint8_t)((perms[0] == 'r' ? PROT_READ : 0) | (perms[1] == 'w' ? PROT_WRITE : 0) |
			  (perms[2] == 'x' ? PROT_EXEC : 0));
	map->dev = (uint64_t)major_no << 32 | minor_no;

	char *path = path_at ? line + path_at : line + strlen(line);
	size_t len = strlen(path), tail = strlen(DELETED);
	if (map->inode && len > tail && strcmp(path + len - tail, DELETED) == 0) {
		map->deleted = true;
		path[len - tail] = 0;
	}
	map->path = path;
	return true;
}

static bool same(const struct cprof_map *a, const struct cprof_map *b)
{
	return a->start == b->start && a->end == b->end && (a->moved || a->offset == b->offset) &&
	       a->prot == b->prot && a->dev == b->dev && a->inode == b->inode &&
	       strcmp(a->path, b->path) == 0;
}

/* Where `line` is known already it keeps its struct, so that pointers in stacks stay meaningful. */
static struct cprof_error *adopt(struct cprof_maps *maps, const struct cprof_map *line,
				 struct cprof_map **ret_map)
{
	struct cprof_map *known = cprof_maps_find(maps, line->start);
	if (known && same(known, line)) {
		known->deleted = line->deleted;
		*ret_map = known;
		return NULL;
	}
	return remember(maps, line, ret_map);
}

static struct cprof_error *parse_all(struct cprof_maps *maps, char *text, struct cprof_map ***fresh,
				     size_t *n_fresh)
{
	const size_t known = maps->n_all;
	size_t cap = 0;
	unsigned line_no = 0;
	char *save = NULL;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct cprof_map map, *adopted = NULL;
		line_no++;
		if (!parse_line(line, &map))
			return cprof_error_new(CPROF_ERR_BAD_DATA,
					       "maps line %u is malformed: \"%.80s\"", line_no,
					       line);
		struct cprof_map *last = *n_fresh ? (*fresh)[*n_fresh - 1] : NULL;
		if (last && map.start == last->start) {
			/* It grew while the kernel wrote the text: the later line counts. */
			last->live = last->live && last->id < known;
			--*n_fresh;
		} else if (last && map.start < last->end) {
			return cprof_error_new(CPROF_ERR_BAD_DATA,
					       "maps line %u overlaps the one before", line_no);
		}
		struct cprof_error *err = adopt(maps, &map, &adopted);
		if (err)
			return err;
		if (!CPROF_ARRAY_ROOM(*fresh, *n_fresh, cap, 1))
			return cprof_error_no_memory();
		(*fresh)[(*n_fresh)++] = adopted;
	}
	return NULL;
}

/* Replace the live set by `fresh` (taken); mappings that are in neither old nor new stay as they were. */
static void replace_live(struct cprof_maps *maps, struct cprof_map **fresh, size_t n_fresh)
{
	bool changed = n_fresh != maps->n_sorted;
	for (size_t i = 0; i < maps->n_sorted; i++)
		maps->sorted[i]->live = false;
	for (size_t i = 0; i < n_fresh; i++) {
		changed = changed || fresh[i] != maps->sorted[i];
		fresh[i]->live = true;
	}
	free(maps->sorted);
	maps->sorted = fresh;
	maps->n_sorted = n_fresh;
	maps->cap_sorted = n_fresh;
	maps->generation += changed;
}

struct cprof_error *cprof_maps_parse(struct cprof_maps *maps, const char *text, size_t len)
{
	CPROF_AUTO(free) char *copy = strndup(text, len);
	struct cprof_map **fresh = NULL;
	size_t n_fresh = 0, n_all = maps->n_all;
	if (!copy)
		return cprof_error_no_memory();
	struct cprof_error *err = parse_all(maps, copy, &fresh, &n_fresh);
	if (err) {
		while (maps->n_all > n_all)
			map_free(maps->all[--maps->n_all]);
		free(fresh);
		return err;
	}
	replace_live(maps, fresh, n_fresh);
	return NULL;
}

static void read_exe(struct cprof_maps *maps)
{
	char path[64];
	struct stat st;
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)maps->pid);
	if (stat(path, &st) < 0)
		return;
	maps->exe_dev = (uint64_t)major(st.st_dev) << 32 | minor(st.st_dev);
	maps->exe_inode = st.st_ino;
}

/* Not the owner of /proc/PID, which is root for a process that may not dump core: proc(5). */
static void read_owner(struct cprof_maps *maps)
{
	char path[64];
	unsigned uid, gid;
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	snprintf(path, sizeof(path), "/proc/%d/status", (int)maps->pid);
	cprof_error_free(cprof_file_read(path, STATUS_MAX, &text));
	const char *user = strstr(cprof_buffer_text(&text), "\nUid:");
	const char *group = strstr(cprof_buffer_text(&text), "\nGid:");
	if (!user || !group || sscanf(user, "\nUid: %*u %u", &uid) != 1 ||
	    sscanf(group, "\nGid: %*u %u", &gid) != 1)
		return;
	maps->owner_known = true;
	maps->uid = uid;
	maps->gid = gid;
}

static struct cprof_error *read_once(struct cprof_maps *maps)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)maps->pid);
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	struct cprof_error *err = cprof_file_read(path, MAPS_TEXT_MAX, &text);
	if (err)
		return cprof_error_wrap(err, "mappings of %d", (int)maps->pid);
	read_exe(maps);
	read_owner(maps);
	return cprof_maps_parse(maps, cprof_buffer_text(&text), text.len);
}

/* The kernel makes the text mapping by mapping, without a lock since Linux 6.17: what contradicts itself is read again. */
struct cprof_error *cprof_maps_refresh(struct cprof_maps *maps)
{
	struct cprof_error *err = read_once(maps);
	for (unsigned turn = 1; err && err->code == CPROF_ERR_BAD_DATA && turn < TURNS; turn++) {
		cprof_error_free(err);
		err = read_once(maps);
	}
	return err;
}
