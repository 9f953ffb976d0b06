/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/mimalloc_segments.h"

#include <string.h>

#define USER_SPACE  (1ull << 47)
#define HUGE_MAX    ((uint64_t)1 << 26) /* slices of a segment, 4 TiB */
#define DELAYED_MAX 65536
#define ALIGNMENT   16 /* of the first block, where that is not at the slice */

/* Where versions have what matters: of a segment's head (mi_segment_t), of its entries (mi_page_t), of a heap (mi_heap_t). */
static const struct form {
	struct {
		uint16_t abandoned, used, cookie, slices, info_slices, kind, entries, bytes;
	} head;
	struct {
		uint16_t used, used_bytes, block, block_bytes, local_free, thread_free, heap;
		uint16_t first; /* 0: it does not stand there */
		uint16_t bytes;
	} entry;
	uint16_t delayed; /* of a heap */
} forms[CPROF_MIMALLOC_FORMS] = {
	/* 2.0 */
	{ { 192, 208, 216, 224, 232, 240, 248, 264 }, { 24, 4, 28, 4, 32, 40, 48, 0, 80 }, 2840 },
	/* 2.1, later ones; 2.1.2 is as 2.0 */
	{ { 192, 208, 216, 224, 232, 240, 248, 264 }, { 32, 2, 40, 8, 24, 56, 64, 48, 96 }, 8 },
	/* 2.2 and 2.3 */
	{ { 200, 216, 224, 248, 256, 264, 272, 288 }, { 32, 2, 40, 8, 24, 56, 64, 48, 96 }, 8 },
};
#define HEAD_MAX 288

struct head {
	uint64_t abandoned, used, cookie, n_slices, n_info_slices, kind, n_entries;
};

struct entry {
	uint32_t n_slices, offset;
	uint16_t capacity, reserved;
	uint64_t used, block_bytes, free, local_free, thread_free, heap, first;
};

static uint64_t field(const uint8_t *bytes, unsigned at, unsigned n)
{
	uint64_t value = 0;
	memcpy(&value, bytes + at, n); /* little endian */
	return value;
}

static struct head head_of(const uint8_t *bytes, const struct form *form)
{
	return (struct head){ .abandoned = field(bytes, form->head.abandoned, 8),
			      .used = field(bytes, form->head.used, 8),
			      .cookie = field(bytes, form->head.cookie, 8),
			      .n_slices = field(bytes, form->head.slices, 8),
			      .n_info_slices = field(bytes, form->head.info_slices, 8),
			      .kind = field(bytes, form->head.kind, 4),
			      .n_entries = field(bytes, form->head.entries, 8) };
}

static struct entry entry_of(const struct cprof_mimalloc_segment *segment, unsigned number)
{
	const struct form *form = &forms[segment->form];
	const uint8_t *bytes = segment->entries + (size_t)number * form->entry.bytes;
	return (struct entry){
		.n_slices = (uint32_t)field(bytes, 0, 4),
		.offset = (uint32_t)field(bytes, 4, 4),
		.capacity = (uint16_t)field(bytes, 10, 2),
		.reserved = (uint16_t)field(bytes, 12, 2),
		.free = field(bytes, 16, 8),
		.used = field(bytes, form->entry.used, form->entry.used_bytes),
		.block_bytes = field(bytes, form->entry.block, form->entry.block_bytes),
		.local_free = field(bytes, form->entry.local_free, 8),
		.thread_free = field(bytes, form->entry.thread_free, 8),
		.heap = field(bytes, form->entry.heap, 8),
		.first = form->entry.first ? field(bytes, form->entry.first, 8) : 0,
	};
}

static bool is_plausible(const struct head *head)
{
	return head->n_slices && head->n_slices <= HUGE_MAX && head->n_info_slices &&
	       head->n_info_slices < 64 && head->n_info_slices <= head->n_slices &&
	       head->n_entries && head->n_entries <= CPROF_MIMALLOC_SLICES &&
	       head->n_entries <= head->n_slices && head->kind < 2 &&
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

static bool read_as(struct cprof_baseline_memory *memory, const uint8_t *bytes, unsigned form,
		    struct cprof_mimalloc_segment *segment)
{
	const struct head head = head_of(bytes, &forms[form]);
	if (!is_plausible(&head))
		return false;
	segment->form = form;
	segment->bytes = head.n_slices * CPROF_MIMALLOC_SLICE;
	segment->key = head.cookie ^ segment->addr;
	segment->heads = head.n_info_slices * CPROF_MIMALLOC_SLICE;
	segment->n_entries = (unsigned)head.n_entries;
	segment->used = head.used > 0;
	if (segment->addr + segment->bytes > USER_SPACE)
		return false;
	read_entries(memory, segment->addr + forms[form].head.bytes, segment->entries,
		     head.n_entries * forms[form].entry.bytes);
	const struct entry first = entry_of(segment, 0);
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
	if (*entry >= segment->n_entries)
		return false;
	const struct entry words = entry_of(segment, *entry);
	const uint64_t start = *entry * CPROF_MIMALLOC_SLICE;
	if (!words.n_slices || words.n_slices > HUGE_MAX || words.offset ||
	    words.n_slices * CPROF_MIMALLOC_SLICE > segment->bytes - start)
		return false;
	*ret_page = (struct cprof_mimalloc_page){
		.start = segment->addr + start,
		.end = segment->addr + start + words.n_slices * CPROF_MIMALLOC_SLICE,
		.block_bytes = words.block_bytes,
		.capacity = words.capacity,
		.used = (unsigned)words.used,
		.free = words.free,
		.local_free = words.local_free,
		.thread_free = words.thread_free & ~(uint64_t)3,
		.heap = words.heap,
		.form = segment->form,
		.in_use = words.block_bytes && words.reserved,
	};
	const uint64_t bytes = ret_page->end - ret_page->start;
	if (ret_page->in_use && ret_page->block_bytes >> 31)
		ret_page->block_bytes = bytes; /* too large to stand there */
	ret_page->first_known = words.first >= ret_page->start && words.first < ret_page->end;
	ret_page->first = ret_page->first_known
				  ? words.first
				  : first_block(ret_page->start, ret_page->block_bytes, 0);
	*entry += words.n_slices < segment->n_entries - *entry ? words.n_slices
							       : segment->n_entries - *entry;
	return !ret_page->in_use ||
	       (ret_page->capacity <= words.reserved && ret_page->used <= ret_page->capacity &&
		ret_page->block_bytes <= bytes &&
		ret_page->capacity * ret_page->block_bytes <= bytes);
}

/* How many of its entries are pages one behind the other: with another version's they soon are not. */
static unsigned reach(const struct cprof_mimalloc_segment *segment)
{
	unsigned entry = (unsigned)(segment->heads / CPROF_MIMALLOC_SLICE);
	struct cprof_mimalloc_page page;
	while (cprof_mimalloc_page_next(segment, &entry, &page))
		;
	return entry;
}

bool cprof_mimalloc_segment_read(struct cprof_baseline_memory *memory, uint64_t addr,
				 struct cprof_mimalloc_segment *ret_segment)
{
	uint8_t bytes[HEAD_MAX];
	unsigned best = CPROF_MIMALLOC_FORMS, best_reach = 0;
	if (!addr || addr >= USER_SPACE || addr % CPROF_MIMALLOC_SEGMENT ||
	    !cprof_baseline_memory_read(memory, addr, bytes, sizeof(bytes)))
		return false;
	ret_segment->addr = addr;
	for (unsigned form = 0; form < CPROF_MIMALLOC_FORMS; form++) {
		if (!read_as(memory, bytes, form, ret_segment))
			continue;
		const unsigned far = reach(ret_segment);
		if (far > best_reach) {
			best_reach = far;
			best = form;
		}
	}
	return best < CPROF_MIMALLOC_FORMS && read_as(memory, bytes, best, ret_segment);
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

static bool walk_lists(struct cprof_baseline_memory *memory, const struct cprof_mimalloc_page *page,
		       uint64_t *free, unsigned *ret_n)
{
	const uint64_t heads[] = { page->free, page->local_free, page->thread_free };
	*ret_n = 0;
	memset(free, 0, (page->capacity + 63) / 64 * sizeof(*free));
	const uint64_t top = page->first + page->capacity * page->block_bytes;
	if (page->capacity * page->block_bytes > page->end - page->first)
		return false;
	if (heads[0] || heads[1] || heads[2])
		cprof_baseline_memory_hold(memory, page->first, top, top + CPROF_BASELINE_BLOCK);
	for (size_t i = 0; i < 3; i++) {
		if (!walk_list(memory, page, heads[i], free, ret_n))
			return false;
	}
	return true;
}

/* 2.1 begins small pages three blocks in, or one: with which its lists fit. */
static bool walk_shifted(struct cprof_baseline_memory *memory, struct cprof_mimalloc_page *page,
			 uint64_t *free, unsigned *ret_n)
{
	static const uint64_t blocks[] = { 3, 1 };
	const uint64_t first = page->first;
	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		page->first = page->start + blocks[i] * page->block_bytes;
		if (page->block_bytes <= 512 && page->first < page->end &&
		    walk_lists(memory, page, free, ret_n))
			return true;
	}
	page->first = first;
	return false;
}

bool cprof_mimalloc_page_free(struct cprof_baseline_memory *memory,
			      struct cprof_mimalloc_page *page, uint64_t *free, unsigned *ret_n)
{
	const uint64_t heads[] = { page->free, page->local_free, page->thread_free };
	for (size_t i = 0; i < 3 && !page->first_known; i++) {
		if (heads[i] < page->start || heads[i] >= page->end)
			continue;
		page->first = first_block(page->start, page->block_bytes, heads[i]);
		break;
	}
	return walk_lists(memory, page, free, ret_n) ||
	       (!page->first_known && walk_shifted(memory, page, free, ret_n));
}

struct cprof_error *cprof_mimalloc_heap_delayed(struct cprof_baseline_memory *memory, uint64_t heap,
						unsigned form, struct cprof_map64 *delayed)
{
	uint64_t block;
	if (!heap || heap >= USER_SPACE ||
	    !cprof_baseline_memory_read(memory, heap + forms[form].delayed, &block, 8))
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
