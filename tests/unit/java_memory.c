/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/java_memory.h"

#include <string.h>

enum { STRUCT_STRIDE = 48, TYPE_STRIDE = 40 };
enum {
	STRUCTS = JAVA_BASE + 0x100,
	TYPES = JAVA_BASE + 0x1000,
	STRINGS = JAVA_BASE + 0x2000,
	HEAPS = JAVA_BASE +
		0x3000, /* the static variable; the list, its array and the heap behind it */
	SEGMAP = JAVA_BASE + 0x4000,
	CONST_METHOD = JAVA_BASE + 0x5100,
	POOL = JAVA_BASE + 0x5200,
	KLASS = JAVA_BASE + 0x5300,
	SYMBOLS = JAVA_BASE + 0x5400,
};

struct field {
	const char *type, *name, *kind;
	uint32_t offset;
};

static const struct field common_fields[] = {
	{ "GrowableArrayBase", "_len", "int", 0 },
	{ "GrowableArray<int>", "_data", "int*", 8 },
	{ "CodeHeap", "_memory", "VirtualSpace", 8 },
	{ "CodeHeap", "_segmap", "VirtualSpace", 72 },
	{ "CodeHeap", "_log2_segment_size", "int", 136 },
	{ "VirtualSpace", "_low", "char*", 16 },
	{ "VirtualSpace", "_high", "char*", 24 },
	{ "VirtualSpace", "_high_boundary", "char*", 8 },
	{ "Other", "_name", "int", 3 },
	{ "Method", "_constMethod", "ConstMethod*", 8 },
	{ "ConstMethod", "_constants", "ConstantPool*", 8 },
	{ "ConstMethod", "_name_index", "u2", 34 },
	{ "ConstMethod", "_signature_index", "u2", 36 },
	{ "ConstantPool", "_pool_holder", "InstanceKlass*", 24 },
	{ "Klass", "_name", "Symbol*", 24 },
	{ "Symbol", "_length", "u2", 4 },
	{ "Symbol", "_body[0]", "u1", 6 },
	{ "CodeBlob", "_name", "const char*", 8 },
	{ "CodeBlob", "_size", "int", 16 },
	{ "CodeBlob", "_data_offset", "int", 20 },
	{ "CodeBlob", "_frame_size", "int", 24 },
};

static const struct field older_fields[] = {
	{ "CodeBlob", "_code_begin", "address", 32 },
	{ "CodeBlob", "_frame_complete_offset", "int", 40 },
	{ "CompiledMethod", "_method", "Method*", 48 },
	{ "HeapBlock::Header", "_used", "bool", 8 },
};

static const struct field newer_fields[] = {
	{ "CodeBlob", "_code_offset", "int", 32 },
	{ "CodeBlob", "_frame_complete_offset", "int16_t", 40 },
	{ "nmethod", "_method", "Method*", 48 },
	{ "HeapBlock::Header", "_used", "bool", 4 },
};

struct maker {
	struct java_memory *java;
	uint64_t next_struct, next_string, next_symbol;
	bool newer;
};

bool java_memory_read(void *ctx, uint64_t addr, void *buf, size_t n)
{
	const struct java_memory *java = ctx;
	if (addr < JAVA_BASE || addr - JAVA_BASE > JAVA_BYTES ||
	    n > JAVA_BYTES - (addr - JAVA_BASE))
		return false;
	memcpy(buf, java->bytes + (addr - JAVA_BASE), n);
	return true;
}

void java_memory_put(struct java_memory *java, uint64_t addr, uint64_t value, size_t bytes)
{
	memcpy(java->bytes + (addr - JAVA_BASE), &value, bytes);
}

static uint64_t put_string(struct maker *m, const char *text)
{
	uint64_t at = m->next_string;
	memcpy(m->java->bytes + (at - JAVA_BASE), text, strlen(text) + 1);
	m->next_string += strlen(text) + 1;
	return at;
}

static void put_struct(struct maker *m, const struct field *field, bool is_static, uint64_t address)
{
	uint64_t at = m->next_struct;
	m->next_struct += STRUCT_STRIDE;
	java_memory_put(m->java, at, put_string(m, field->type), 8);
	java_memory_put(m->java, at + 8, put_string(m, field->name), 8);
	java_memory_put(m->java, at + 16, put_string(m, field->kind), 8);
	java_memory_put(m->java, at + 24, is_static, 4);
	java_memory_put(m->java, at + 32, field->offset, 8);
	java_memory_put(m->java, at + 40, address, 8);
}

static void put_type(struct maker *m, unsigned row, const char *type, uint64_t size)
{
	uint64_t at = TYPES + (uint64_t)row * TYPE_STRIDE;
	java_memory_put(m->java, at, put_string(m, type), 8);
	java_memory_put(m->java, at + 32, size, 8);
}

static void put_tables(struct maker *m)
{
	static const struct field heaps = { "CodeCache", "_heaps", "GrowableArray<CodeHeap*>*", 0 };
	const struct field *fields = m->newer ? newer_fields : older_fields;
	/* The table's own shape: see cprof_vm_exports. */
	const uint64_t shape[CPROF_VM_EXPORTS] = { STRUCTS, STRUCT_STRIDE, 0, 8, 16, 24, 32, 40,
						   TYPES,   TYPE_STRIDE,   0, 32 };
	for (unsigned i = 0; i < CPROF_VM_EXPORTS; i++) {
		m->java->exports[i] = JAVA_BASE + 8u * i;
		java_memory_put(m->java, m->java->exports[i], shape[i], 8);
	}
	put_struct(m, &heaps, true, HEAPS);
	for (size_t i = 0; i < sizeof(common_fields) / sizeof(common_fields[0]); i++)
		put_struct(m, &common_fields[i], false, 0);
	for (size_t i = 0; i < sizeof(older_fields) / sizeof(older_fields[0]); i++)
		put_struct(m, &fields[i], false, 0);
	put_type(m, 0, "Metadata", 8);
	put_type(m, 1, "HeapBlock", m->newer ? 8 : 16);
	put_type(m, 2, "ConstantPool", 72);
}

static void put_heap(struct java_memory *java)
{
	enum { LIST = HEAPS + 0x10, ARRAY = HEAPS + 0x40, HEAP = HEAPS + 0x100 };
	java_memory_put(java, HEAPS, LIST, 8);
	java_memory_put(java, LIST, 1, 4);
	java_memory_put(java, LIST + 8, ARRAY, 8);
	java_memory_put(java, ARRAY, HEAP, 8);
	java_memory_put(java, HEAP + 8 + 16, JAVA_HEAP, 8);
	java_memory_put(java, HEAP + 8 + 8, JAVA_HEAP + 0x4000, 8);
	java_memory_put(java, HEAP + 8 + 24, JAVA_HEAP + 0x4000, 8);
	java_memory_put(java, HEAP + 72 + 16, SEGMAP, 8);
	java_memory_put(java, HEAP + 72 + 24, SEGMAP + 0x80, 8);
	java_memory_put(java, HEAP + 136, 7, 4);
	memset(java->bytes + (SEGMAP - JAVA_BASE), 0xff, 0x80);
}

static void put_blob(struct maker *m, uint64_t block, unsigned segments, const char *name,
		     uint64_t frame_words, bool used)
{
	struct java_memory *java = m->java;
	uint64_t blob = block + (m->newer ? 8 : 16), code = block + JAVA_CODE;
	uint64_t size = segments * 128u - (blob - block);
	for (unsigned i = 0; i < segments; i++)
		java_memory_put(java, SEGMAP + ((block - JAVA_HEAP) >> 7) + i, i > 3 ? 3 : i, 1);
	java_memory_put(java, block + (m->newer ? 4 : 8), used, 1);
	java_memory_put(java, blob + 8, put_string(m, name), 8);
	java_memory_put(java, blob + 16, size, 4);
	java_memory_put(java, blob + 20, size, 4);
	java_memory_put(java, blob + 24, frame_words, 4);
	java_memory_put(java, blob + 32, m->newer ? code - blob : code, m->newer ? 4 : 8);
	java_memory_put(java, blob + 40, 12, m->newer ? 2 : 4);
	java_memory_put(java, blob + 48, JAVA_METHOD, 8);
}

static uint64_t put_symbol(struct maker *m, const char *text)
{
	uint64_t at = m->next_symbol;
	java_memory_put(m->java, at + 4, strlen(text), 2);
	memcpy(m->java->bytes + (at + 6 - JAVA_BASE), text, strlen(text));
	m->next_symbol += 0x40;
	return at;
}

static void put_method(struct maker *m)
{
	struct java_memory *java = m->java;
	java_memory_put(java, JAVA_METHOD + 8, CONST_METHOD, 8);
	java_memory_put(java, CONST_METHOD + 8, POOL, 8);
	java_memory_put(java, CONST_METHOD + 34, 1, 2);
	java_memory_put(java, CONST_METHOD + 36, 2, 2);
	java_memory_put(java, POOL + 24, KLASS, 8);
	java_memory_put(java, POOL + 72 + 8, put_symbol(m, "run"), 8);
	java_memory_put(java, POOL + 72 + 16, put_symbol(m, "(I)V"), 8);
	java_memory_put(java, KLASS + 24, put_symbol(m, "a/b/C"), 8);
}

void java_memory_make(struct java_memory *java, bool newer)
{
	struct maker m = { java, STRUCTS, STRINGS, SYMBOLS, newer };
	memset(java, 0, sizeof(*java));
	put_tables(&m);
	put_heap(java);
	put_blob(&m, JAVA_NMETHOD, 9, "nmethod", 6, true);
	put_blob(&m, JAVA_INTERP, 4, "Interpreter", 0, true);
	put_blob(&m, JAVA_STUB, 2, "_new_array_Java", 4, true);
	put_blob(&m, JAVA_FREED, 2, "nmethod", 6, false);
	put_blob(&m, JAVA_CONT, 2, "StubRoutines (continuation stubs)", 0, true);
	put_method(&m);
}
