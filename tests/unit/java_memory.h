/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/java_memory.h - the memory of a small Java virtual machine, as two versions of HotSpot lay it out: its tables, one code
 * heap with some pieces of code, and one method.
 */
#ifndef CPROF_TESTS_JAVA_MEMORY_H
#define CPROF_TESTS_JAVA_MEMORY_H

#include "symbolize/java/vm_tables.h"

#define JAVA_BASE  0x100000u
#define JAVA_BYTES 0xc000u

/* Where things are. The heap has segments of 128 bytes. */
#define JAVA_HEAP      (JAVA_BASE + 0x8000)
#define JAVA_METHOD    (JAVA_BASE + 0x5000)
#define JAVA_NMETHOD   (JAVA_HEAP + 0x100) /* "a.b.C.run", 1,000 bytes of code, frames of 6 words */
#define JAVA_INTERP    (JAVA_HEAP + 0x800)
#define JAVA_STUB      (JAVA_HEAP + 0x1000) /* frames of 4 words */
#define JAVA_FREED     (JAVA_HEAP + 0x1400)
#define JAVA_CONT      (JAVA_HEAP + 0x1800) /* what resumes virtual threads */
#define JAVA_HEAP_HIGH (JAVA_BASE + 0x3120) /* the word that says how far the heap is in use */
#define JAVA_CODE      0x80                 /* code begins that far behind the start of a block */

struct java_memory {
	uint8_t bytes[JAVA_BYTES];
	uint64_t exports[CPROF_VM_EXPORTS];
};

/* As JDK 11 to 22 have it, or as JDK 23 and later. */
void java_memory_make(struct java_memory *java, bool newer);

/* Reads `ctx`, a struct java_memory. */
bool java_memory_read(void *ctx, uint64_t addr, void *buf, size_t n);

void java_memory_put(struct java_memory *java, uint64_t addr, uint64_t value, size_t bytes);

#endif
