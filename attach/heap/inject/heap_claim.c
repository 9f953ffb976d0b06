#include "attach/heap/inject/heap_claim.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attach/heap/inject/heap_blob.h"
#include "attach/heap/inject/heap_place.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "cprof/buffer.h"

/* Field 22 of /proc/PID/stat: when it started, in ticks. 0 if there is no such process. */
static uint64_t start_ticks(uint64_t pid)
{
	char path[64];
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	snprintf(path, sizeof(path), "/proc/%llu/stat", (unsigned long long)pid);
	struct cprof_error *err = cprof_file_read(path, 1 << 14, &text);
	cprof_error_free(err);
	/* The name, in parentheses, may contain anything; the state behind it is field 3. */
	const char *at = strrchr(cprof_buffer_text(&text), ')');
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at, NULL, 10) : 0;
}

static uint64_t pid_namespace(void)
{
	struct stat st;
	return stat("/proc/self/ns/pid", &st) == 0 ? (uint64_t)st.st_ino : 0;
}

void cprof_heap_claim_fill(struct cprof_shim_image *image)
{
	image->tool_pid = (uint64_t)getpid();
	image->tool_start_ticks = start_ticks(image->tool_pid);
	image->tool_pidns = pid_namespace();
}

bool cprof_heap_claim_alive(const struct cprof_shim_image *image)
{
	if (image->tool_pidns != pid_namespace())
		return true;
	uint64_t ticks = start_ticks(image->tool_pid);
	return ticks && ticks == image->tool_start_ticks;
}

static bool all_zero(const struct cprof_maps *maps, const struct cprof_map *map)
{
	uint8_t page[4096];
	for (uint64_t at = map->start; at < map->end; at += sizeof(page)) {
		if (!maps->memory.read(maps->memory.ctx, at, page, sizeof(page)))
			return false;
		for (size_t i = 0; i < sizeof(page); i++) {
			if (page[i])
				return false;
		}
	}
	return true;
}

static bool is_ours(const struct cprof_maps *maps, const struct cprof_map *map,
		    struct cprof_shim_image *image)
{
	if (map->inode || map->prot != (PROT_READ | PROT_EXEC) ||
	    map->end - map->start < sizeof(*image) ||
	    !maps->memory.read(maps->memory.ctx, map->start, image, sizeof(*image)))
		return false;
	if (image->magic == CPROF_SHIM_MAGIC)
		return map->end - map->start >= image->image_bytes;
	return map->end - map->start == cprof_heap_blob_image_bytes() &&
	       cprof_heap_place_marked(map->start) && all_zero(maps, map);
}

bool cprof_heap_claim_find(const struct cprof_maps *maps, uint64_t from,
			   const struct cprof_map **ret_map, struct cprof_shim_image *ret_image)
{
	for (size_t i = 0; i < maps->n_sorted; i++) {
		const struct cprof_map *map = maps->sorted[i];
		if (map->start >= from && is_ours(maps, map, ret_image)) {
			*ret_map = map;
			return true;
		}
	}
	return false;
}

struct cprof_error *cprof_heap_claim_check(const struct cprof_maps *maps)
{
	const struct cprof_map *map;
	CPROF_AUTO(free) struct cprof_shim_image *image = malloc(sizeof(*image));
	if (!image)
		return cprof_error_no_memory();
	if (!cprof_heap_claim_find(maps, 0, &map, image))
		return NULL;
	struct cprof_error *err;
	if (image->magic && cprof_heap_claim_alive(image)) {
		err = cprof_error_new(CPROF_ERR_DENIED,
				      "a heap profile of process %d is being taken by PID %llu",
				      (int)maps->pid, (unsigned long long)image->tool_pid);
		return cprof_error_hint(err, "wait for it, or end it with kill -INT %llu",
					(unsigned long long)image->tool_pid);
	}
	err = cprof_error_new(CPROF_ERR_DENIED,
			      "process %d carries what a killed heap profile left behind "
			      "(harmless, at 0x%llx)",
			      (int)maps->pid, (unsigned long long)map->start);
	return cprof_error_hint(err, "remove it with cprof-attach -repair %d", (int)maps->pid);
}
