/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/uprobe/heap_uprobe_left.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "attach/heap/uprobe/heap_uprobe_apart.h"
#include "attach/heap/uprobe/heap_uprobe_file.h"
#include "attach/heap/uprobe/heap_uprobe_link.h"
#include "base/cleanup.h"

#define PAGE       4096u
#define ROW        512u /* pages asked for at once */
#define PAGE_MAX   64u  /* breakpoints in one page; more are something else */
#define BREAKPOINT 0xcc

/* Documentation/admin-guide/mm/pagemap.rst */
#define PAGEMAP_PRESENT (1ull << 63)
#define PAGEMAP_SWAPPED (1ull << 62)
#define PAGEMAP_SHARED  (1ull << 61) /* file page or shared anonymous: not a copy of its own */

struct search {
	const struct cprof_maps *maps;
	struct cprof_target_mem *mem;
	bool traced;
	struct cprof_heap_uprobe_file
		*file; /* owned; of the mapping looked at; NULL: not needed yet */
	struct cprof_heap_uprobe_left *left;
};

/* Where the page differs from its file, if that is breakpoints and nothing else. */
static size_t find_breakpoints(const uint8_t *now, const uint8_t *original, uint16_t *ret_at)
{
	size_t n = 0;
	for (uint16_t i = 0; i < PAGE; i++) {
		if (now[i] == original[i])
			continue;
		if (now[i] != BREAKPOINT || n == PAGE_MAX)
			return 0;
		ret_at[n++] = i;
	}
	return n;
}

static void hold(struct search *search, const struct cprof_map *map)
{
	search->left->held++;
	snprintf(search->left->path, sizeof(search->left->path), "%s", map->path);
}

static struct cprof_error *remove_one(struct search *search, const struct cprof_map *map,
				      uint64_t addr)
{
	char path[64];
	uint8_t now = 0;
	if (search->traced) {
		hold(search, map);
		return NULL;
	}
	cprof_heap_uprobe_file_path(search->file, path, sizeof(path));
	int fd = cprof_heap_uprobe_event(path, map->offset + (addr - map->start), 0,
					 search->mem->tid);
	if (fd < 0 && (errno == EACCES || errno == EPERM)) {
		struct cprof_error *err =
			cprof_error_os(errno, "take out the breakpoint at 0x%llx of %s",
				       (unsigned long long)addr, map->path);
		return cprof_error_hint(err, "run as root, or give cprof-attach CAP_PERFMON");
	}
	if (fd >= 0)
		cprof_heap_uprobe_release(&fd, 1);
	if (cprof_target_mem_read(search->mem, addr, &now, 1) && now != BREAKPOINT)
		search->left->removed++;
	else
		hold(search, map);
	return NULL;
}

static struct cprof_error *look_at_page(struct search *search, const struct cprof_map *map,
					uint64_t addr)
{
	uint8_t now[PAGE], original[PAGE] = { 0 };
	uint16_t at[PAGE_MAX];
	struct cprof_error *err = NULL;
	if (!search->file)
		err = cprof_heap_uprobe_file_open(search->maps, map, &search->file);
	if (err &&
	    err->code != CPROF_ERR_NO_MEMORY) { /* then no uprobe could be put there either */
		cprof_error_free(err);
		return NULL;
	}
	if (err)
		return err;
	const struct cprof_memory code = cprof_heap_uprobe_file_code(search->file);
	if (!code.read(code.ctx, addr, original, PAGE) ||
	    !cprof_target_mem_read(search->mem, addr, now, PAGE))
		return NULL;
	const size_t n = find_breakpoints(now, original, at);
	for (size_t i = 0; !err && i < n; i++)
		err = remove_one(search, map, addr + at[i]);
	return err;
}

static struct cprof_error *look_at_map(struct search *search, const struct cprof_map *map,
				       int pagemap)
{
	uint64_t row[ROW];
	struct cprof_error *err = NULL;
	for (uint64_t addr = map->start; !err && addr < map->end;) {
		const uint64_t pages = (map->end - addr) / PAGE, n = pages < ROW ? pages : ROW;
		const ssize_t got = pread(pagemap, row, n * sizeof(row[0]),
					  (off_t)(addr / PAGE * sizeof(row[0])));
		if (got <= 0)
			return NULL;
		const uint64_t known = (uint64_t)got / sizeof(row[0]);
		for (uint64_t i = 0; !err && i < known; i++) {
			if ((row[i] & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED)) &&
			    !(row[i] & PAGEMAP_SHARED))
				err = look_at_page(search, map, addr + i * PAGE);
		}
		addr += (known ? known : 1) * PAGE;
	}
	return err;
}

struct cprof_error *cprof_heap_uprobe_left_remove(const struct cprof_maps *maps,
						  struct cprof_target_mem *mem,
						  struct cprof_heap_uprobe_left *ret_left)
{
	char path[64];
	struct cprof_error *err = NULL;
	struct search search = {
		.maps = maps,
		.mem = mem,
		.traced = cprof_heap_uprobe_file_traced(maps),
		.left = ret_left,
	};
	*ret_left = (struct cprof_heap_uprobe_left){ 0 };
	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)mem->tid);
	CPROF_AUTO(close) int pagemap = open(path, O_RDONLY | O_CLOEXEC);
	if (pagemap < 0)
		return NULL;
	for (size_t i = 0; !err && i < maps->n_sorted; i++) {
		const struct cprof_map *map = maps->sorted[i];
		if (!(map->prot & PROT_EXEC) || (map->prot & PROT_WRITE) || !map->inode)
			continue;
		err = look_at_map(&search, map, pagemap);
		cprof_heap_uprobe_file_close(search.file);
		search.file = NULL;
	}
	return err;
}
