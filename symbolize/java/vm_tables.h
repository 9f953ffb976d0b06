/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/java/vm_tables.h - where a HotSpot virtual machine keeps what, as the machine itself tells.
 *
 * libjvm.so exports tables of its types, their fields, offsets and static variables (gHotSpotVMStructs, gHotSpotVMTypes), made for
 * the serviceability agent; so no layout is known here, only names, and every version that has the names will do. The tables
 * are in the target's memory and are read once; they are untrusted, and what they say is checked where it is used.
 *
 * Source of truth: OpenJDK, src/hotspot/share/runtime/vmStructs.hpp and vmStructs.cpp (JDK 11 to 25).
 */
#ifndef CPROF_SYMBOLIZE_JAVA_VM_TABLES_H
#define CPROF_SYMBOLIZE_JAVA_VM_TABLES_H

#include "cprof/memory.h"

/* A field: where in its structure, and how it is read; bytes 0: this version has none. */
struct cprof_vm_field {
	uint32_t offset;
	uint8_t bytes;
	bool is_signed;
};

/* What is wanted of the tables; all zero where it is not there. */
struct cprof_vm_layout {
	uint64_t heaps; /* address of the pointer to the list of code heaps */
	uint64_t
		entry_return; /* of the address to which a continuation returns that ends; JDK 21 */
	struct cprof_vm_field list_len, list_data;
	struct cprof_vm_field heap_memory, heap_segmap, heap_log2;
	struct cprof_vm_field space_low, space_high, space_limit;
	struct cprof_vm_field block_used;
	uint64_t block_bytes;
	struct cprof_vm_field blob_name, blob_size, blob_code, blob_code_offset, blob_data_offset;
	struct cprof_vm_field blob_frame_complete, blob_frame_words;
	struct cprof_vm_field compiled_method;
	struct cprof_vm_field method_const, const_pool, const_name, const_signature;
	struct cprof_vm_field pool_holder;
	uint64_t pool_bytes;
	struct cprof_vm_field class_name;
	struct cprof_vm_field symbol_length, symbol_length_above, symbol_text;
};

/* Addresses of the exported variables in the target, by their names in cprof_vm_exports[]; 0: not exported. */
enum { CPROF_VM_EXPORTS = 12 };
extern const char *const cprof_vm_exports[CPROF_VM_EXPORTS];

/*
 * Read the tables. False where they are not there, cannot be read, or lack what frames need (names may be missing:
 * cprof_vm_layout_names()). At most some 100,000 small reads of `memory`, which are mostly in few pages. Does not stop the target.
 */
bool cprof_vm_tables_read(const struct cprof_memory *memory,
			  const uint64_t exports[CPROF_VM_EXPORTS],
			  struct cprof_vm_layout *ret_layout);

/* Whether methods' names can be read. */
bool cprof_vm_layout_names(const struct cprof_vm_layout *layout);

/* A field of the structure whose first `n` bytes are `bytes`; false if it is not in there. */
bool cprof_vm_field_get(struct cprof_vm_field field, const uint8_t *bytes, size_t n,
			uint64_t *ret_value);

/* The same, of the structure at `addr` of the target. */
bool cprof_vm_field_read(const struct cprof_memory *memory, struct cprof_vm_field field,
			 uint64_t addr, uint64_t *ret_value);

/* The text at `addr`, cut to `size` - 1 bytes; false if it cannot be read. */
bool cprof_vm_text_read(const struct cprof_memory *memory, uint64_t addr, char *text, size_t size);

#endif
