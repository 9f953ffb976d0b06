/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>

#include "attach/heap/heap_mmap_impl.h"
#include "attach/heap/heap_rows.h"

/* The label `mapping`. */
static const char *const names[CPROF_HEAP_MMAP_WHATS] = {
	[CPROF_HEAP_MMAP_ANONYMOUS] = "anonymous",
	[CPROF_HEAP_MMAP_THREAD_STACK] = "thread stack",
	[CPROF_HEAP_MMAP_HUGE_PAGES] = "huge pages",
	[CPROF_HEAP_MMAP_SHARED] = "shared",
	[CPROF_HEAP_MMAP_MEMFD] = "memfd",
	[CPROF_HEAP_MMAP_SHM] = "shm",
	[CPROF_HEAP_MMAP_SYSTEM_V] = "System V",
	[CPROF_HEAP_MMAP_BRK] = "brk",
	[CPROF_HEAP_MMAP_RESERVED] = "reserved",
};

/* ---- what lives ---- */

/* Of one piece, as far as it is mapped; of a reservation what may be accessed. */
static uint64_t living(const struct cprof_maps *maps, const struct cprof_mapped_piece *piece,
		       bool accessible, size_t *at)
{
	uint64_t bytes = 0;
	while (*at < maps->n_sorted && maps->sorted[*at]->end <= piece->start)
		++*at;
	for (size_t i = *at; i < maps->n_sorted && maps->sorted[i]->start < piece->end; i++) {
		const struct cprof_map *map = maps->sorted[i];
		const uint64_t start = map->start > piece->start ? map->start : piece->start;
		const uint64_t end = map->end < piece->end ? map->end : piece->end;
		if (map->prot || !accessible)
			bytes += end - start;
	}
	return bytes;
}

static struct cprof_error *settle(struct cprof_heap_mmap *mmap)
{
	const bool alive = cprof_target_alive(mmap->process->target);
	uint8_t *seen = calloc(mmap->n_calls + 1, 1);
	size_t at = 0;
	if (!seen)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < mmap->n_rows; i++)
		mmap->rows[i].inuse_objects = mmap->rows[i].inuse_bytes = 0;
	for (size_t i = 0; i < mmap->set.n; i++) {
		const struct cprof_mapped_piece *piece = &mmap->set.pieces[i];
		struct cprof_heap_mmap_row *row = &mmap->rows[mmap->row_of[piece->call]];
		const uint64_t bytes = alive ? living(&mmap->process->maps, piece,
						      row->what == CPROF_HEAP_MMAP_RESERVED, &at)
					     : piece->end - piece->start;
		row->inuse_bytes += bytes;
		row->inuse_objects += bytes && !seen[piece->call];
		seen[piece->call] = seen[piece->call] || bytes;
	}
	free(seen);
	/* When it was made accessible is not known: what is so now is all that can be told. */
	for (uint32_t i = 0; i < mmap->n_rows; i++) {
		struct cprof_heap_mmap_row *row = &mmap->rows[i];
		if (row->what == CPROF_HEAP_MMAP_RESERVED) {
			row->alloc_objects = row->inuse_objects;
			row->alloc_bytes = row->inuse_bytes;
		}
	}
	return NULL;
}

/* ---- the profile ---- */

static struct cprof_error *add_row(struct cprof_heap_mmap *mmap,
				   const struct cprof_heap_mmap_row *row, bool label_pid)
{
	const struct cprof_builder_label labels[] = {
		{ .key = "kind", .str = "mmap" },
		{ .key = "mapping", .str = names[row->what] },
		{ .key = "bytes", .num = (int64_t)row->bytes, .unit = "bytes" },
		{ .key = "pid", .num = mmap->process->target->pid },
	};
	const int64_t values[CPROF_HEAP_TYPES] = {
		(int64_t)row->alloc_objects,
		(int64_t)row->alloc_bytes,
		(int64_t)row->inuse_objects,
		(int64_t)row->inuse_bytes,
	};
	uint32_t number;
	struct cprof_error *err = cprof_session_labels(mmap->session, mmap->process, 0, labels,
						       label_pid ? 4 : 3, &number);
	return err ? err : cprof_session_add_stack(mmap->session, row->stack, number, values);
}

static void note(const struct cprof_heap_mmap *mmap)
{
	uint64_t calls = 0, bytes = 0, inuse = 0;
	for (uint32_t i = 0; i < mmap->n_rows; i++) {
		calls += mmap->rows[i].alloc_objects;
		bytes += mmap->rows[i].alloc_bytes;
		inuse += mmap->rows[i].inuse_bytes;
	}
	cprof_run_log_note(mmap->log, CPROF_NOTE_FACT,
			   "mapped past the allocators (label kind=mmap): %" PRIu64
			   " calls, %" PRIu64 " bytes of address space, of which %" PRIu64
			   " are mapped still; %" PRIu64
			   " calls of the allocators themselves are counted as what they hand out",
			   calls, bytes, inuse, mmap->own);
	if (mmap->lost)
		cprof_run_log_note(mmap->log, CPROF_NOTE_WARNING,
				   "%" PRIu64
				   " calls of mmap, munmap, mremap, brk, shmat or shmdt were lost: "
				   "they came too fast",
				   mmap->lost);
	if (mmap->no_room)
		cprof_run_log_note(mmap->log, CPROF_NOTE_WARNING,
				   "%" PRIu64 " calls of mmap, mremap or brk were left out: there "
				   "are more than are kept",
				   mmap->no_room);
}

struct cprof_error *cprof_heap_mmap_add(struct cprof_heap_mmap *mmap, bool label_pid)
{
	struct cprof_error *err = cprof_process_refresh(mmap->process, 0);
	if (!err)
		err = settle(mmap);
	if (!err)
		note(mmap);
	for (uint32_t i = 0; !err && i < mmap->n_rows; i++) {
		if (mmap->rows[i].alloc_objects)
			err = add_row(mmap, &mmap->rows[i], label_pid);
	}
	return err;
}
