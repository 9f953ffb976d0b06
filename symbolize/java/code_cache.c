/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/java/code_cache.h"

#include <string.h>

#define HEAP_MAX     (1ull << 40)
#define STRUCT_MAX   512u /* of a CodeHeap or nmethod, at most */
#define WINDOW       256u
#define HOPS_MAX     8192u
#define UNUSED       0xff
#define FRAME_WORDS  (1u << 17)
#define LOG2_MAX     16u
#define RECENT_SHIFT 7

/* ---- heaps ---- */

static bool read_heap(const struct cprof_vm_layout *layout, const struct cprof_memory *memory,
		      uint64_t addr, struct cprof_code_heap *heap)
{
	uint64_t code = addr + layout->heap_memory.offset, map = addr + layout->heap_segmap.offset;
	uint64_t log2;
	if (!cprof_vm_field_read(memory, layout->space_low, code, &heap->low) ||
	    !cprof_vm_field_read(memory, layout->space_high, code, &heap->high) ||
	    !cprof_vm_field_read(memory, layout->space_low, map, &heap->map_low) ||
	    !cprof_vm_field_read(memory, layout->space_high, map, &heap->map_high) ||
	    !cprof_vm_field_read(memory, layout->heap_log2, addr, &log2))
		return false;
	heap->addr = addr;
	heap->log2_segment = (unsigned)log2;
	if (!cprof_vm_field_read(memory, layout->space_limit, code, &heap->limit) ||
	    heap->limit < heap->high || heap->limit - heap->low > HEAP_MAX)
		heap->limit = heap->high;
	return heap->low && heap->low < heap->high && heap->high - heap->low <= HEAP_MAX &&
	       heap->map_low < heap->map_high && log2 >= 4 && log2 <= LOG2_MAX;
}

bool cprof_code_cache_refresh(struct cprof_code_cache *cache, const struct cprof_memory *memory)
{
	const struct cprof_vm_layout *layout = cache->layout;
	uint64_t list, len, data, heap;
	cache->n_heaps = 0;
	for (size_t i = 0; i < CPROF_CODE_RECENT; i++)
		cache->recent[i].segment = 0;
	if (!memory->read(memory->ctx, layout->heaps, &list, sizeof(list)) || !list ||
	    !cprof_vm_field_read(memory, layout->list_len, list, &len) ||
	    !cprof_vm_field_read(memory, layout->list_data, list, &data))
		return false;
	for (uint64_t i = 0; i < len && i < CPROF_CODE_HEAPS_MAX; i++) {
		if (memory->read(memory->ctx, data + 8 * i, &heap, sizeof(heap)) &&
		    read_heap(layout, memory, heap, &cache->heaps[cache->n_heaps]))
			cache->n_heaps++;
	}
	return cache->n_heaps > 0;
}

/* The heap of `addr`. One that grew since it was read is read again: what was compiled last is on the stacks that are looked at now. */
static const struct cprof_code_heap *heap_of(struct cprof_code_cache *cache,
					     const struct cprof_memory *memory, uint64_t addr)
{
	for (size_t i = 0; i < cache->n_heaps; i++) {
		struct cprof_code_heap *heap = &cache->heaps[i], now;
		if (addr < heap->low || addr >= heap->limit)
			continue;
		if (addr >= heap->high && read_heap(cache->layout, memory, heap->addr, &now))
			*heap = now;
		return addr >= heap->low && addr < heap->high ? heap : NULL;
	}
	return NULL;
}

/* ---- from an address to the start of its block ---- */

/* The bytes [*start, ...) of the heap's map that lead up to segment `at`, `at` the last of them. */
static bool read_map(const struct cprof_code_heap *heap, const struct cprof_memory *memory,
		     uint64_t at, uint8_t *bytes, uint64_t *start)
{
	*start = at >= WINDOW ? at - WINDOW + 1 : 0;
	return at < heap->map_high - heap->map_low &&
	       memory->read(memory->ctx, heap->map_low + *start, bytes, (size_t)(at - *start + 1));
}

static bool find_block(const struct cprof_code_heap *heap, const struct cprof_memory *memory,
		       uint64_t addr, uint64_t *ret_block)
{
	uint8_t bytes[WINDOW];
	uint64_t at = (addr - heap->low) >> heap->log2_segment, start;
	if (!read_map(heap, memory, at, bytes, &start))
		return false;
	for (unsigned hops = 0; hops < HOPS_MAX; hops++) {
		uint8_t back = bytes[at - start];
		if (back == UNUSED || back > at)
			return false;
		if (!back) {
			*ret_block = heap->low + (at << heap->log2_segment);
			return true;
		}
		at -= back;
		if (at < start && !read_map(heap, memory, at, bytes, &start))
			return false;
	}
	return false;
}

/* ---- blobs ---- */

/* Names that code blobs are made with; what is of no such name and has a frame is a stub. */
static const struct {
	const char *name;
	enum cprof_code_kind kind;
	bool begins; /* that is only how it begins: versions differ */
} known_blobs[] = {
	{ "nmethod", CPROF_CODE_COMPILED, false },
	{ "native nmethod", CPROF_CODE_COMPILED, false },
	{ "Interpreter", CPROF_CODE_INTERPRETER, false },
	{ "I2C/C2I adapters", CPROF_CODE_ADAPTER, false },
	{ "vtable chunks", CPROF_CODE_FRAMELESS, false },
	{ "StubRoutines (cont", CPROF_CODE_CONTINUATION, true },
};

static enum cprof_code_kind kind_of(const char *name, uint32_t frame_words)
{
	for (size_t i = 0; i < sizeof(known_blobs) / sizeof(known_blobs[0]); i++) {
		const char *known = known_blobs[i].name;
		if (strncmp(name, known, strlen(known) + !known_blobs[i].begins) == 0)
			return known_blobs[i].kind;
	}
	return frame_words > 1 ? CPROF_CODE_STUB : CPROF_CODE_OTHER;
}

static bool code_range(const struct cprof_vm_layout *layout, uint64_t addr, const uint8_t *bytes,
		       struct cprof_code_blob *blob, uint64_t *ret_size)
{
	uint64_t offset, end;
	if (!cprof_vm_field_get(layout->blob_size, bytes, STRUCT_MAX, ret_size) ||
	    !cprof_vm_field_get(layout->blob_data_offset, bytes, STRUCT_MAX, &end))
		return false;
	if (layout->blob_code.bytes) {
		if (!cprof_vm_field_get(layout->blob_code, bytes, STRUCT_MAX, &blob->code_start))
			return false;
	} else {
		if (!cprof_vm_field_get(layout->blob_code_offset, bytes, STRUCT_MAX, &offset))
			return false;
		blob->code_start = addr + offset;
	}
	blob->code_end = addr + end;
	return end <= *ret_size && blob->code_start > addr && blob->code_start <= blob->code_end;
}

static bool frame_shape(const struct cprof_vm_layout *layout, const uint8_t *bytes,
			struct cprof_code_blob *blob)
{
	uint64_t words, complete;
	if (!cprof_vm_field_get(layout->blob_frame_words, bytes, STRUCT_MAX, &words) ||
	    !cprof_vm_field_get(layout->blob_frame_complete, bytes, STRUCT_MAX, &complete))
		return false;
	/* -1: there is no frame (words), it is never whole (complete). */
	blob->frame_words = words <= FRAME_WORDS ? (uint32_t)words : 0;
	blob->complete = complete < blob->code_end - blob->code_start ? blob->code_start + complete
								      : blob->code_end;
	return true;
}

static bool read_blob(const struct cprof_vm_layout *layout, const struct cprof_code_heap *heap,
		      const struct cprof_memory *memory, uint64_t block,
		      struct cprof_code_blob *blob)
{
	uint8_t bytes[STRUCT_MAX] = { 0 };
	uint64_t addr = block + layout->block_bytes, used, name, size, words = 0;
	if (addr >= heap->high || !cprof_vm_field_read(memory, layout->block_used, block, &used) ||
	    !(used & 0xff))
		return false;
	size_t n = heap->high - addr < sizeof(bytes) ? (size_t)(heap->high - addr) : sizeof(bytes);
	if (!memory->read(memory->ctx, addr, bytes, n) ||
	    !code_range(layout, addr, bytes, blob, &size) || size > heap->high - addr ||
	    !frame_shape(layout, bytes, blob) ||
	    !cprof_vm_field_get(layout->blob_name, bytes, STRUCT_MAX, &name) ||
	    !cprof_vm_text_read(memory, name, blob->name, sizeof(blob->name)))
		return false;
	blob->kind = kind_of(blob->name, blob->frame_words);
	blob->method = 0;
	if (blob->kind != CPROF_CODE_COMPILED)
		return true;
	/* What only goes on to another method has no frame. */
	cprof_vm_field_get(layout->blob_frame_words, bytes, STRUCT_MAX, &words);
	if (words == 0)
		blob->kind = CPROF_CODE_OTHER;
	return (words == 0 || blob->frame_words >= 2) &&
	       cprof_vm_field_get(layout->compiled_method, bytes, STRUCT_MAX, &blob->method);
}

const struct cprof_code_blob *cprof_code_cache_find(struct cprof_code_cache *cache,
						    const struct cprof_memory *memory,
						    uint64_t addr)
{
	const struct cprof_code_heap *heap = heap_of(cache, memory, addr);
	uint64_t segment = addr >> RECENT_SHIFT << RECENT_SHIFT, block;
	struct cprof_code_recent *recent =
		&cache->recent[(addr >> RECENT_SHIFT ^ addr >> 15) % CPROF_CODE_RECENT];
	if (!heap)
		return NULL;
	if (recent->segment != segment || addr < recent->blob.code_start ||
	    addr >= recent->blob.code_end) {
		recent->segment = 0;
		if (!find_block(heap, memory, addr, &block) ||
		    !read_blob(cache->layout, heap, memory, block, &recent->blob) ||
		    addr < recent->blob.code_start || addr >= recent->blob.code_end)
			return NULL;
		recent->segment = segment;
	}
	return &recent->blob;
}
