/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/heap_claim.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "attach/heap/inject/heap_blob.h"
#include "attach/heap/inject/heap_place.h"
#include "attach/target/foreign_pid.h"
#include "attach/target/thread_proc.h"
#include "base/cleanup.h"

void cprof_heap_claim_fill(struct cprof_shim_image *image)
{
	const struct cprof_foreign_pid self = cprof_foreign_pid_self();
	image->tool_pid = self.pid;
	image->tool_start_ticks = self.start_ticks;
	image->tool_pidns = self.pidns;
}

/* A forked child carries its parent's page, but zeros in the place of its data: that run has nothing to do with it. */
static bool is_a_childs(const struct cprof_maps *maps, const struct cprof_shim_image *image)
{
	uint64_t magic;
	return maps->memory.read(maps->memory.ctx, image->data, &magic, sizeof(magic)) && !magic;
}

/* The process that a thread belongs to; `maps` may look through any thread. */
static pid_t process_of(pid_t tid)
{
	char text[4096];
	struct cprof_thread_status status;
	return cprof_thread_read(tid, tid, "status", text, sizeof(text)) > 0 &&
			       cprof_thread_status_parse(text, &status)
		       ? status.tgid
		       : tid;
}

static struct cprof_error *taken_by(const struct cprof_maps *maps, pid_t pid)
{
	struct cprof_error *err;
	if (!cprof_foreign_pid_is_ours(pid, maps->pid)) {
		err = cprof_error_new(CPROF_ERR_DENIED,
				      "a heap profile of process %d is being taken by a process "
				      "that is not known to be a cprof-attach",
				      (int)maps->pid);
		return cprof_error_hint(err, "wait until it has ended");
	}
	err = cprof_error_new(CPROF_ERR_DENIED,
			      "a heap profile of process %d is being taken by PID %d",
			      (int)maps->pid, (int)pid);
	if (cprof_foreign_pid_state(pid) == 'T')
		return cprof_error_hint(err,
					"it is stopped: end it with kill -TERM %d and kill -CONT "
					"%d; it cleans up by itself",
					(int)pid, (int)pid);
	return cprof_error_hint(
		err, "wait for it, or end it with kill -TERM %d: it cleans up by itself", (int)pid);
}

static struct cprof_error *unseen(const struct cprof_maps *maps)
{
	struct cprof_error *err = cprof_error_new(
		CPROF_ERR_DENIED,
		"process %d carries a heap profile's code, and whether that still runs cannot be "
		"seen from this PID namespace",
		(int)maps->pid);
	return cprof_error_hint(err, "run cprof-attach -repair on the host, or in a container that "
				     "sees its processes (--pid=host)");
}

struct cprof_error *cprof_heap_claim_busy(const struct cprof_maps *maps,
					  const struct cprof_shim_image *image)
{
	const struct cprof_foreign_pid maker = { image->tool_pid, image->tool_start_ticks,
						 image->tool_pidns };
	pid_t pid;
	if (!image->magic || is_a_childs(maps, image))
		return NULL;
	switch (cprof_foreign_pid_find(&maker, &pid)) {
	case CPROF_FOREIGN_GONE:
		return NULL;
	case CPROF_FOREIGN_UNSEEN:
		return unseen(maps);
	case CPROF_FOREIGN_HERE:
		break;
	}
	/* The page is the target's own memory, and may name anybody, us too: whoever profiles it has it open. */
	return pid != getpid() && cprof_foreign_pid_holds(pid, process_of(maps->pid))
		       ? taken_by(maps, pid)
		       : NULL;
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
	const uint64_t bytes = map->end - map->start;
	if (map->inode || map->prot != (PROT_READ | PROT_EXEC) || bytes < sizeof(*image) ||
	    !cprof_heap_place_marked(map->start) ||
	    !maps->memory.read(maps->memory.ctx, map->start, image, sizeof(*image)))
		return false;
	if (image->magic == CPROF_SHIM_MAGIC)
		return image->image_bytes >= sizeof(*image) && image->image_bytes <= bytes &&
		       image->image_bytes % 4096 == 0;
	return bytes == cprof_heap_blob_image_bytes() && all_zero(maps, map);
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
	uint64_t from = 0;
	do {
		if (!cprof_heap_claim_find(maps, from, &map, image))
			return NULL;
		from = map->end;
	} while (image->magic &&
		 image->retired); /* nothing leads there, and it is in nobody's way */
	struct cprof_error *err = cprof_heap_claim_busy(maps, image);
	if (err)
		return err;
	err = cprof_error_new(CPROF_ERR_DENIED,
			      "process %d carries what a killed heap profile left behind "
			      "(harmless, at 0x%llx)",
			      (int)maps->pid, (unsigned long long)map->start);
	return cprof_error_hint(err, "remove it with cprof-attach -repair %d", (int)maps->pid);
}
