/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as texts of /proc/PID: maps, status, limits, meminfo, fdinfo, cgroup with mountinfo. A zero byte parts two texts. */
#include <stdlib.h>
#include <string.h>

#include "attach/target/foreign_pid.h"
#include "attach/target/head_room.h"
#include "attach/target/memory_cgroup.h"
#include "cprof/maps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_order(const struct cprof_maps *maps)
{
	for (size_t i = 0; i < maps->n_sorted; i++) {
		const struct cprof_map *map = maps->sorted[i];
		if (map->start >= map->end || !map->live || !map->path || map->id >= maps->n_all ||
		    (i && maps->sorted[i - 1]->end > map->start) ||
		    cprof_maps_find(maps, map->start) != map)
			abort();
	}
}

/* One text after the other, as a process's mappings change. */
static void read_maps(const char *first, const char *second)
{
	struct cprof_maps maps;
	cprof_maps_init(&maps, 0, (struct cprof_memory){ 0 });
	cprof_error_free(cprof_maps_parse(&maps, first, strlen(first)));
	check_order(&maps);
	cprof_error_free(cprof_maps_parse(&maps, second, strlen(second)));
	check_order(&maps);
	cprof_maps_main(&maps);
	cprof_maps_deinit(&maps);
}

static void read_groups(const char *cgroup, const char *mountinfo)
{
	struct cprof_memory_cgroup *group = malloc(sizeof(*group));
	if (group && cprof_memory_cgroup_find(cgroup, mountinfo, "/proc/1/root", group) ==
			     CPROF_MEMORY_CGROUP_FOUND) {
		size_t len = strnlen(group->dir, sizeof(group->dir));
		if (len == sizeof(group->dir) || group->mount_len > len)
			abort();
	}
	free(group);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 2);
	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = text[size + 1] = 0;
	const char *second = text + strlen(text) + 1;
	read_maps(text, second);
	read_groups(text, second);
	cprof_head_room_limit_of(text, "Max address space");
	cprof_head_room_bytes_of(text, "VmLck:");
	cprof_head_room_bytes_of(text, "MemAvailable:");
	cprof_foreign_pid_of_fdinfo(text);
	free(text);
	return 0;
}
