/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/alloc/heap_sizes.h - which sizes of calls are sampled: -heap-size MIN:MAX. Pure.
 *
 * All zeros is every size.
 */
#ifndef CPROF_ATTACH_HEAP_ALLOC_HEAP_SIZES_H
#define CPROF_ATTACH_HEAP_ALLOC_HEAP_SIZES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"

struct cprof_heap_sizes {
	bool given;        /* else the two below mean nothing */
	uint64_t min, max; /* bytes that a call asks for, both included */
};

#define CPROF_HEAP_SIZES_TEXT 64

/* No call can ask for more: user addresses end here (x86-64 with five levels of page tables). */
#define CPROF_HEAP_SIZES_LIMIT (1ull << 56)

/*
 * "4080:4096", "1m:" (and more), ":512" (and less), "4096" (only this). Errors: USAGE says what is wrong; then *ret_sizes is
 * as it was.
 */
struct cprof_error *cprof_heap_sizes_parse(const char *text, struct cprof_heap_sizes *ret_sizes);

/* As the injected code and the BPF program compare: size - least <= span, unsigned. */
uint64_t cprof_heap_sizes_least(const struct cprof_heap_sizes *sizes);
uint64_t cprof_heap_sizes_span(const struct cprof_heap_sizes *sizes);

/* "4080 to 4096 bytes", in words for people; empty where every size is meant. */
void cprof_heap_sizes_text(const struct cprof_heap_sizes *sizes, char text[CPROF_HEAP_SIZES_TEXT]);

#endif
