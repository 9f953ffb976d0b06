/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/mimalloc_segments.h"

#include <string.h>

#define USER_SPACE  (1ull << 47)
#define ENTRY_BYTES 80
#define HUGE_MAX    ((uint64_t)1 << 26) /* slices of a segment, 4 TiB */
#define DELAYED_AT  2840                /* mi_heap_t.thread_delayed_free */
#define DELAYED_MAX 65536
#define ALIGNMENT   16 /* of the first block, where that is not at the slice */

/* mi_segment_t, the part in front of its entries. */
struct head {
	uint64_t origin[6]; /* where its memory is from, and whether it may be given back */
	uint64_t masks[16]; /* which parts are committed */
	uint64_t abandoned_next, next;
	uint64_t abandoned, visits, used, cookie;
	uint64_t n_slices, n_info_slices;
	uint64_t kind, n_entries, thread;
};
_Static_assert(sizeof(struct head) == 0x108, "mi_segment_t up to slices");

struct entry { /* mi_page_t */
	uint32_t n_slices, offset;
	uint8_t committed, pad;
	uint16_t capacity, reserved;
	uint8_t flags, retire;
	uint64_t free;
	uint32_t used, block_bytes;
	uint64_t local_free, thread_free, heap, next, prev, padding;
};
_Static_assert(sizeof(struct entry) == ENTRY_BYTES, "mi_page_t");

static bool is_plausible(const struct head *head)
{
	return head->n_slices && head->n_slices <= HUGE_MAX && head->n_info_slices &&
	       head->n_info_slices < 64 && head->n_info_slices <= head->n_slices &&
	       head->n_entries && head->n_entries <= CPROF_MIMALLOC_SLICES &&
	       head->n_entries <= head->n_slices && (head->kind & UINT32_MAX) < 2 &&
	       head->used <= head->n_slices && head->abandoned <= head->used;
}

/* Pages of the entries that were never touched are zero. */
static void read_entries(struct cprof_baseline_memory *memory, uint64_t addr, uint8_t *to,
			 size_t bytes)
{
	for (size_t done = 0, n; done < bytes; done += n) {
		n = CPROF_BASELINE_PAGE - (addr + done) % CPROF_BASELINE_PAGE;
		n = n < bytes - done ? n : bytes - done;
		if (!cprof_baseline_memory_read(memory, addr + done, to + done, n))
			memset(to + done, 0, n);
	}
}

bool cprof_mimalloc_segment_read(struct cprof_baseline_memory *memory, uint64_t addr,
				 struct cprof_mimalloc_segment *ret_segment)
{
	struct head head;
	struct entry first;
	if (!addr || addr >= USER_SPACE || addr % CPROF_MIMALLOC_SEGMENT ||
	    !cprof_baseline_memory_read(memory, addr, &head, sizeof(head)) || !is_plausible(&head))
		return false;
	ret_segment->addr = addr;
	ret_segment->bytes = head.n_slices * CPROF_MIMALLOC_SLICE;
	ret_segment->key = head.cookie ^ addr;
	ret_segment->heads = head.n_info_slices * CPROF_MIMALLOC_SLICE;
	ret_segment->n_entries = (unsigned)head.n_entries;
	ret_segment->used = head.used > 0;
	if (addr + ret_segment->bytes > USER_SPACE)
		return false;
	read_entries(memory, addr + sizeof(head), ret_segment->entries,
		     head.n_entries * ENTRY_BYTES);
	memcpy(&first, ret_segment->entries, sizeof(first));
	return first.n_slices == head.n_info_slices && !first.offset;
}

/*
 * Small blocks do not begin with the slice, but how far from it differs between versions: so that a block of a list is one. Without
 * a list, as 2.0.9 does it.
 */
static uint64_t first_block(uint64_t start, uint64_t block_bytes, uint64_t listed)
{
	static const uint64_t offsets[] = { 384, 128, 0 };
	if (block_bytes > 1024)
		return start + (listed ? (listed - start) % block_bytes : 0);
	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		const uint64_t first = start + offsets[i];
		if (!listed || (listed >= first && (listed - first) % block_bytes == 0))
			return first;
	}
	return start + (listed - start) % block_bytes;
}

bool cprof_mimalloc_page_next(const struct cprof_mimalloc_segment *segment, unsigned *entry,
			      struct cprof_mimalloc_page *ret_page)
{
	struct entry words;
	if (*entry >= segment->n_entries)
		return false;
	memcpy(&words, segment->entries + (size_t)*entry * ENTRY_BYTES, sizeof(words));
	const uint64_t start = *entry * CPROF_MIMALLOC_SLICE;
	if (!words.n_slices || words.n_slices > HUGE_MAX || words.offset ||
	    words.n_slices * CPROF_MIMALLOC_SLICE > segment->bytes - start)
		return false;
	*ret_page = (struct cprof_mimalloc_page){
		.start = segment->addr + start,
		.end = segment->addr + start + words.n_slices * CPROF_MIMALLOC_SLICE,
		.block_bytes = words.block_bytes,
		.capacity = words.capacity,
		.used = words.used,
		.free = words.free,
		.local_free = words.local_free,
		.thread_free = words.thread_free & ~(uint64_t)3,
		.heap = words.heap,
		.in_use = words.block_bytes && words.reserved,
	};
	const uint64_t bytes = ret_page->end - ret_page->start;
	if (ret_page->in_use && ret_page->block_bytes >> 31)
		ret_page->block_bytes = bytes; /* too large to stand there */
	ret_page->first = first_block(ret_page->start, ret_page->block_bytes, 0);
	*entry += words.n_slices < segment->n_entries - *entry ? words.n_slices
							       : segment->n_entries - *entry;
	return !ret_page->in_use ||
	       (ret_page->capacity <= words.reserved && ret_page->used <= ret_page->capacity &&
		ret_page->capacity * ret_page->block_bytes <= bytes);
}

/* ---- lists ---- */

static bool walk_list(struct cprof_baseline_memory *memory, const struct cprof_mimalloc_page *page,
		      uint64_t block, uint64_t *free, unsigned *n)
{
	while (block) {
		const uint8_t *bytes;
		if (block < page->first || block >= page->end)
			return false;
		const uint64_t i = (block - page->first) / page->block_bytes;
		if ((block - page->first) % page->block_bytes || i >= page->capacity ||
		    free[i / 64] >> i % 64 & 1)
			return false;
		free[i / 64] |= 1ull << i % 64;
		++*n;
		bytes = cprof_baseline_memory_at(memory, block, 8, page->end);
		if (bytes)
			memcpy(&block, bytes, 8);
		else if (!cprof_baseline_memory_read(memory, block, &block, 8))
			return false;
	}
	return true;
}

bool cprof_mimalloc_page_free(struct cprof_baseline_memory *memory,
			      struct cprof_mimalloc_page *page, uint64_t *free, unsigned *ret_n)
{
	const uint64_t heads[] = { page->free, page->local_free, page->thread_free };
	*ret_n = 0;
	memset(free, 0, (page->capacity + 63) / 64 * sizeof(*free));
	for (size_t i = 0; i < 3; i++) {
		if (heads[i] < page->start || heads[i] >= page->end)
			continue;
		page->first = first_block(page->start, page->block_bytes, heads[i]);
		break;
	}
	if (page->capacity * page->block_bytes > page->end - page->first)
		return false;
	for (size_t i = 0; i < 3; i++) {
		if (!walk_list(memory, page, heads[i], free, ret_n))
			return false;
	}
	return true;
}

struct cprof_error *cprof_mimalloc_heap_delayed(struct cprof_baseline_memory *memory, uint64_t heap,
						struct cprof_map64 *delayed)
{
	uint64_t block;
	if (!heap || heap >= USER_SPACE ||
	    !cprof_baseline_memory_read(memory, heap + DELAYED_AT, &block, 8))
		return NULL;
	for (unsigned i = 0; i < DELAYED_MAX && block && block < USER_SPACE && block % 8 == 0;
	     i++) {
		bool fresh;
		if (!cprof_map64_put(delayed, block, &fresh))
			return cprof_error_no_memory();
		if (!fresh || !cprof_baseline_memory_read(memory, block, &block, 8))
			break;
	}
	return NULL;
}
