/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/heap_size.h"

#define PAGE        4096u
#define TABLE_BYTES 0x200000u /* of address space that one page of page table is for */
#define TABLES      8         /* of the upper levels, and of mappings not on such a boundary */

#define LIVE_SAMPLED (1u << 16) /* at 512 KiB: 16 GiB of live heap at half load */
#define LIVE_EVERY   (1u << 20)
#define LIVE_LEAST   (1u << 14)
#define EVERY_BELOW  8192u
#define CELLS_LEAST  32u

uint64_t cprof_heap_size_mapped(const struct cprof_heap_size *size)
{
	return sizeof(struct cprof_shim_data) + size->live_entries * sizeof(struct cprof_shim_live);
}

bool cprof_heap_size_cell_is_open(const struct cprof_heap_size *size, uint32_t index)
{
	if (size->cells >= CPROF_SHIM_NEAR)
		return index < size->cells;
	return index < CPROF_SHIM_NEAR && index % (CPROF_SHIM_NEAR / size->cells) == 0;
}

/* All pages that it can ever touch, and the tables that say where they are. */
static uint64_t resident(const struct cprof_heap_size *size, uint32_t images, uint64_t image_bytes,
			 uint64_t hooks)
{
	const uint64_t mapped = cprof_heap_size_mapped(size);
	const uint64_t unused = (uint64_t)(CPROF_SHIM_CELLS - size->cells) * CPROF_SHIM_STACK_BYTES;
	const uint64_t tables = mapped / TABLE_BYTES + TABLES + (uint64_t)images * 4;
	return mapped - unused + images * image_bytes + (hooks + tables) * PAGE;
}

static struct cprof_need need_of(const struct cprof_heap_size *size, uint32_t images,
				 uint64_t image_bytes, uint64_t hooks)
{
	const uint64_t mapped = cprof_heap_size_mapped(size);
	return (struct cprof_need){ .what = "a heap profile",
				    .resident_bytes = resident(size, images, image_bytes, hooks),
				    .mapped_bytes = mapped + images * image_bytes,
				    .data_bytes = mapped,
				    .maps = images + 1 };
}

struct cprof_error *cprof_heap_size_choose(const struct cprof_head_room *room, uint64_t period,
					   uint32_t images, uint64_t image_bytes, uint64_t hooks,
					   struct cprof_heap_size *ret_size)
{
	const bool every = period < EVERY_BELOW;
	const bool limited = cprof_head_room_is_limited(room);
	/* To touch a page takes a microsecond or two, and all threads stand still meanwhile. */
	const struct cprof_heap_size sizes[] = {
		{ limited ? CPROF_SHIM_NEAR : CPROF_SHIM_CELLS,
		  !every    ? LIVE_SAMPLED
		  : limited ? LIVE_EVERY / 4
			    : LIVE_EVERY,
		  limited },
		{ CPROF_SHIM_NEAR, LIVE_SAMPLED, true },
		{ CELLS_LEAST, LIVE_LEAST, true },
	};
	struct cprof_error *err = NULL;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const struct cprof_need need = need_of(&sizes[i], images, image_bytes, hooks);
		cprof_error_free(err);
		err = cprof_head_room_check(room, &need);
		if (!err) {
			*ret_size = sizes[i];
			return NULL;
		}
	}
	return err;
}

struct cprof_error *cprof_heap_size_check_locked(const struct cprof_head_room *room,
						 const struct cprof_heap_size *size,
						 uint32_t images, uint64_t image_bytes)
{
	const uint64_t all = cprof_heap_size_mapped(size) + images * image_bytes;
	const struct cprof_need need = {
		.what = "a heap profile", .resident_bytes = all, .locked_bytes = all, .maps = 1
	};
	return cprof_head_room_check(room, &need);
}
