/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/java/code_cache.h - the memory that HotSpot puts generated code in: which piece of code is at an address, and how
 * large its frames are.
 *
 * A code heap is cut into segments; a map of one byte for each leads from any segment to the first one of its block, which begins
 * with a header and a CodeBlob. All of it is the target's memory and changes while it is read: every number is checked against the
 * heap's bounds, every loop has a limit, and a frame found by it must hold up otherwise (symbolize/unwind/unwind_java.h).
 *
 * Source of truth: OpenJDK, src/hotspot/share/memory/heap.cpp (CodeHeap::find_block_for) and code/codeBlob.hpp.
 */
#ifndef CPROF_SYMBOLIZE_JAVA_CODE_CACHE_H
#define CPROF_SYMBOLIZE_JAVA_CODE_CACHE_H

#include "symbolize/java/vm_tables.h"

#define CPROF_CODE_HEAPS_MAX 8
#define CPROF_CODE_NAME_MAX  64
#define CPROF_CODE_RECENT    256

enum cprof_code_kind {
	CPROF_CODE_COMPILED,    /* a method, or the wrapper of a native one: fixed frames */
	CPROF_CODE_INTERPRETER, /* frames by frame pointer, method at a fixed place */
	CPROF_CODE_ADAPTER,   /* between compiled and interpreted code: frames are made and moved */
	CPROF_CODE_FRAMELESS, /* goes on to a method: the return address stays on top of the stack */
	CPROF_CODE_STUB,      /* calls into the machine: fixed frames */
	CPROF_CODE_CONTINUATION, /* what suspends and resumes virtual threads */
	CPROF_CODE_OTHER,        /* pieces of code of their own: nothing is told of frames */
};

struct cprof_code_blob {
	enum cprof_code_kind kind;
	uint64_t code_start, code_end;
	uint64_t complete;    /* from this address on the frame is whole */
	uint32_t frame_words; /* up to and with the return address */
	uint64_t method;      /* of compiled code: its Method in the target; 0: none */
	char name[CPROF_CODE_NAME_MAX];
};

struct cprof_code_cache {
	const struct cprof_vm_layout *layout; /* borrowed */
	struct cprof_code_heap {
		uint64_t addr;      /* of what tells the rest */
		uint64_t low, high; /* in use as it was last read */
		uint64_t limit;     /* it grows up to here */
		uint64_t map_low, map_high;
		unsigned log2_segment;
	} heaps[CPROF_CODE_HEAPS_MAX];
	size_t n_heaps;
	struct cprof_code_recent {
		uint64_t segment; /* address, 0: free */
		struct cprof_code_blob blob;
	} recent[CPROF_CODE_RECENT]; /* answers since the last refresh */
};

/* Read where the heaps are now, and forget answers. False: there are none (yet). Some 10 reads. */
bool cprof_code_cache_refresh(struct cprof_code_cache *cache, const struct cprof_memory *memory);

/*
 * The piece of code that `addr` is in; NULL if it is in none. Borrowed until the next call. Takes some 4 reads, none where that segment
 * was asked about since the last refresh, 5 more where the heap has grown since.
 */
const struct cprof_code_blob *cprof_code_cache_find(struct cprof_code_cache *cache,
						    const struct cprof_memory *memory,
						    uint64_t addr);

#endif
