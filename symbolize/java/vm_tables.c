/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/java/vm_tables.h"

#include <string.h>

#define ENTRIES_MAX 20000u /* JDK 17 has 1,969 of all kinds */
#define STRIDE_MAX  256u
#define TEXT_MAX    64u /* of a type's or field's name; no longer one is wanted */
#define PAGE        4096u

enum {
	STRUCTS,
	STRUCT_STRIDE,
	STRUCT_TYPE,
	STRUCT_FIELD,
	STRUCT_KIND,
	STRUCT_STATIC,
	STRUCT_OFFSET,
	STRUCT_ADDRESS,
	TYPES,
	TYPE_STRIDE,
	TYPE_NAME,
	TYPE_SIZE,
};

const char *const cprof_vm_exports[CPROF_VM_EXPORTS] = {
	[STRUCTS] = "gHotSpotVMStructs",
	[STRUCT_STRIDE] = "gHotSpotVMStructEntryArrayStride",
	[STRUCT_TYPE] = "gHotSpotVMStructEntryTypeNameOffset",
	[STRUCT_FIELD] = "gHotSpotVMStructEntryFieldNameOffset",
	[STRUCT_KIND] = "gHotSpotVMStructEntryTypeStringOffset",
	[STRUCT_STATIC] = "gHotSpotVMStructEntryIsStaticOffset",
	[STRUCT_OFFSET] = "gHotSpotVMStructEntryOffsetOffset",
	[STRUCT_ADDRESS] = "gHotSpotVMStructEntryAddressOffset",
	[TYPES] = "gHotSpotVMTypes",
	[TYPE_STRIDE] = "gHotSpotVMTypeEntryArrayStride",
	[TYPE_NAME] = "gHotSpotVMTypeEntryTypeNameOffset",
	[TYPE_SIZE] = "gHotSpotVMTypeEntrySizeOffset",
};

/* ---- what is wanted ---- */

#define FIELD(member)  offsetof(struct cprof_vm_layout, member), false
#define STATIC(member) offsetof(struct cprof_vm_layout, member), true

/* Where versions differ there is a row for each. */
static const struct wanted_field {
	const char *type, *field;
	size_t member;
	bool is_static;
} wanted_fields[] = {
	{ "CodeCache", "_heaps", STATIC(heaps) },
	{ "ContinuationEntry", "_return_pc", STATIC(entry_return) },
	{ "GrowableArrayBase", "_len", FIELD(list_len) },
	{ "GenericGrowableArray", "_len", FIELD(list_len) }, /* JDK 11 */
	{ "GrowableArray<int>", "_data", FIELD(list_data) },
	{ "CodeHeap", "_memory", FIELD(heap_memory) },
	{ "CodeHeap", "_segmap", FIELD(heap_segmap) },
	{ "CodeHeap", "_log2_segment_size", FIELD(heap_log2) },
	{ "VirtualSpace", "_low", FIELD(space_low) },
	{ "VirtualSpace", "_high", FIELD(space_high) },
	{ "VirtualSpace", "_high_boundary", FIELD(space_limit) },
	{ "HeapBlock::Header", "_used", FIELD(block_used) },
	{ "CodeBlob", "_name", FIELD(blob_name) },
	{ "CodeBlob", "_size", FIELD(blob_size) },
	{ "CodeBlob", "_code_begin", FIELD(blob_code) },         /* up to JDK 22 */
	{ "CodeBlob", "_code_offset", FIELD(blob_code_offset) }, /* from JDK 23 */
	{ "CodeBlob", "_data_offset", FIELD(blob_data_offset) },
	{ "CodeBlob", "_frame_complete_offset", FIELD(blob_frame_complete) },
	{ "CodeBlob", "_frame_size", FIELD(blob_frame_words) },
	{ "CompiledMethod", "_method", FIELD(compiled_method) }, /* up to JDK 22 */
	{ "nmethod", "_method", FIELD(compiled_method) },        /* from JDK 23 */
	{ "Method", "_constMethod", FIELD(method_const) },
	{ "ConstMethod", "_constants", FIELD(const_pool) },
	{ "ConstMethod", "_name_index", FIELD(const_name) },
	{ "ConstMethod", "_signature_index", FIELD(const_signature) },
	{ "ConstantPool", "_pool_holder", FIELD(pool_holder) },
	{ "Klass", "_name", FIELD(class_name) },
	{ "Symbol", "_length", FIELD(symbol_length) },
	{ "Symbol", "_length_and_refcount", FIELD(symbol_length_above) }, /* JDK 13 and 14 */
	{ "Symbol", "_body", FIELD(symbol_text) },
	{ "Symbol", "_body[0]", FIELD(symbol_text) },
};

static const struct wanted_size {
	const char *type;
	size_t member;
} wanted_sizes[] = {
	{ "HeapBlock", offsetof(struct cprof_vm_layout, block_bytes) },
	{ "ConstantPool", offsetof(struct cprof_vm_layout, pool_bytes) },
};

#define N_FIELDS (sizeof(wanted_fields) / sizeof(wanted_fields[0]))
#define N_SIZES  (sizeof(wanted_sizes) / sizeof(wanted_sizes[0]))

/* How the machine's types are read; any other is a word, or a structure of which only the place is wanted. */
static const struct {
	const char *kind;
	uint8_t bytes;
	bool is_signed;
} kinds[] = {
	{ "int", 4, true },       { "int16_t", 2, true },       { "u2", 2, false },
	{ "uint16_t", 2, false }, { "jushort", 2, false },      { "unsigned short", 2, false },
	{ "bool", 1, false },     { "u1", 1, false },           { "u4", 4, false },
	{ "uint32_t", 4, false }, { "unsigned int", 4, false }, { "volatile uint32_t", 4, false },
};

/* ---- reading ---- */

bool cprof_vm_field_get(struct cprof_vm_field field, const uint8_t *bytes, size_t n,
			uint64_t *ret_value)
{
	uint64_t value = 0;
	if (!field.bytes || field.offset > n || field.bytes > n - field.offset)
		return false;
	memcpy(&value, bytes + field.offset, field.bytes); /* little-endian, as x86-64 is */
	unsigned unused = 64 - 8u * field.bytes;
	*ret_value = field.is_signed ? (uint64_t)((int64_t)(value << unused) >> unused) : value;
	return true;
}

bool cprof_vm_field_read(const struct cprof_memory *memory, struct cprof_vm_field field,
			 uint64_t addr, uint64_t *ret_value)
{
	uint8_t bytes[8];
	uint64_t at = addr + field.offset;
	if (!field.bytes || at < addr || !memory->read(memory->ctx, at, bytes, field.bytes))
		return false;
	field.offset = 0;
	return cprof_vm_field_get(field, bytes, sizeof(bytes), ret_value);
}

static bool read_word(const struct cprof_memory *memory, uint64_t addr, uint64_t *ret_value)
{
	return memory->read(memory->ctx, addr, ret_value, sizeof(*ret_value));
}

bool cprof_vm_text_read(const struct cprof_memory *memory, uint64_t addr, char *text, size_t size)
{
	size_t len = 0;
	while (addr && len < size - 1) {
		size_t page_left = PAGE - (size_t)((addr + len) & (PAGE - 1));
		size_t n = size - 1 - len < page_left ? size - 1 - len : page_left;
		if (!memory->read(memory->ctx, addr + len, text + len, n))
			return false;
		const char *end = memchr(text + len, 0, n);
		if (end)
			return true;
		len += n;
	}
	text[len] = 0;
	return addr != 0;
}

/* The numbers that tell how an entry is laid out: small ones, or the table is not believed. */
static bool read_shape(const struct cprof_memory *memory, const uint64_t *exports,
		       uint64_t shape[CPROF_VM_EXPORTS])
{
	for (size_t i = 0; i < CPROF_VM_EXPORTS; i++) {
		bool is_table = i == STRUCTS || i == TYPES;
		if (!exports[i] || !read_word(memory, exports[i], &shape[i]))
			return false;
		if (is_table ? !shape[i] : shape[i] > STRIDE_MAX)
			return false;
	}
	return shape[STRUCT_STRIDE] && shape[TYPE_STRIDE];
}

/* ---- the tables ---- */

static void set_field(struct cprof_vm_layout *layout, const struct wanted_field *wanted,
		      const char *kind, uint64_t offset, uint64_t address)
{
	char *member = (char *)layout + wanted->member;
	if (wanted->is_static) {
		memcpy(member, &address, sizeof(address));
		return;
	}
	struct cprof_vm_field field = { .offset = (uint32_t)offset, .bytes = 8 };
	if (offset > 1u << 16)
		return;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kind, kinds[i].kind) == 0) {
			field.bytes = kinds[i].bytes;
			field.is_signed = kinds[i].is_signed;
		}
	}
	memcpy(member, &field, sizeof(field));
}

static bool type_is_wanted(const char *type)
{
	for (size_t i = 0; i < N_FIELDS; i++) {
		if (strcmp(type, wanted_fields[i].type) == 0)
			return true;
	}
	return false;
}

/* One row of the table of fields; false if it cannot be read. */
static bool take_field(const struct cprof_memory *memory, const uint64_t *shape, uint64_t entry,
		       const char *type, struct cprof_vm_layout *layout)
{
	char field[TEXT_MAX], kind[TEXT_MAX] = "";
	uint64_t at, kind_at, offset, address;
	if (!read_word(memory, entry + shape[STRUCT_FIELD], &at) ||
	    !read_word(memory, entry + shape[STRUCT_KIND], &kind_at) ||
	    !read_word(memory, entry + shape[STRUCT_OFFSET], &offset) ||
	    !read_word(memory, entry + shape[STRUCT_ADDRESS], &address) ||
	    !cprof_vm_text_read(memory, at, field, sizeof(field)))
		return false;
	for (size_t i = 0; i < N_FIELDS; i++) {
		const struct wanted_field *wanted = &wanted_fields[i];
		if (strcmp(type, wanted->type) != 0 || strcmp(field, wanted->field) != 0)
			continue;
		if (kind_at && !cprof_vm_text_read(memory, kind_at, kind, sizeof(kind)))
			return false;
		set_field(layout, wanted, kind, offset, address);
	}
	return true;
}

static bool read_structs(const struct cprof_memory *memory, const uint64_t *shape,
			 struct cprof_vm_layout *layout)
{
	uint64_t entry = shape[STRUCTS], last_at = 0, at;
	bool wanted = false;
	char type[TEXT_MAX];
	for (unsigned i = 0; i < ENTRIES_MAX; i++, entry += shape[STRUCT_STRIDE]) {
		if (!read_word(memory, entry + shape[STRUCT_TYPE], &at))
			return false;
		if (!at)
			return true;
		/* Rows of one type stand together and share its name. */
		if (at != last_at) {
			if (!cprof_vm_text_read(memory, at, type, sizeof(type)))
				return false;
			wanted = type_is_wanted(type);
			last_at = at;
		}
		if (wanted && !take_field(memory, shape, entry, type, layout))
			return false;
	}
	return false;
}

static bool read_types(const struct cprof_memory *memory, const uint64_t *shape,
		       struct cprof_vm_layout *layout)
{
	uint64_t entry = shape[TYPES], at, size;
	char type[TEXT_MAX];
	for (unsigned i = 0; i < ENTRIES_MAX; i++, entry += shape[TYPE_STRIDE]) {
		if (!read_word(memory, entry + shape[TYPE_NAME], &at))
			return false;
		if (!at)
			return true;
		if (!read_word(memory, entry + shape[TYPE_SIZE], &size) ||
		    !cprof_vm_text_read(memory, at, type, sizeof(type)))
			return false;
		for (size_t k = 0; k < N_SIZES; k++) {
			if (strcmp(type, wanted_sizes[k].type) == 0)
				memcpy((char *)layout + wanted_sizes[k].member, &size,
				       sizeof(size));
		}
	}
	return false;
}

static bool has_frames(const struct cprof_vm_layout *layout)
{
	const struct cprof_vm_field needed[] = {
		layout->list_len,         layout->list_data,        layout->heap_memory,
		layout->heap_segmap,      layout->heap_log2,        layout->space_low,
		layout->space_high,       layout->block_used,       layout->blob_name,
		layout->blob_size,        layout->blob_data_offset, layout->blob_frame_complete,
		layout->blob_frame_words, layout->compiled_method,
	};
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (!needed[i].bytes)
			return false;
	}
	return layout->heaps && layout->block_bytes && layout->block_bytes <= 64 &&
	       (layout->blob_code.bytes || layout->blob_code_offset.bytes);
}

bool cprof_vm_layout_names(const struct cprof_vm_layout *layout)
{
	return layout->method_const.bytes && layout->const_pool.bytes && layout->const_name.bytes &&
	       layout->const_signature.bytes && layout->pool_holder.bytes && layout->pool_bytes &&
	       layout->pool_bytes < 1u << 16 && layout->class_name.bytes &&
	       layout->symbol_text.bytes &&
	       (layout->symbol_length.bytes || layout->symbol_length_above.bytes);
}

bool cprof_vm_tables_read(const struct cprof_memory *memory,
			  const uint64_t exports[CPROF_VM_EXPORTS],
			  struct cprof_vm_layout *ret_layout)
{
	uint64_t shape[CPROF_VM_EXPORTS];
	*ret_layout = (struct cprof_vm_layout){ 0 };
	return memory->read && read_shape(memory, exports, shape) &&
	       read_structs(memory, shape, ret_layout) && read_types(memory, shape, ret_layout) &&
	       has_frames(ret_layout);
}
