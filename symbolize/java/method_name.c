/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/java/method_name.h"

#include <string.h>

/* Of a class; the rest of the room is the method's. Longer ones are cut. */
#define CLASS_MAX (CPROF_METHOD_NAME_MAX * 3 / 4)

bool cprof_method_identity(const struct cprof_vm_layout *layout, const struct cprof_memory *memory,
			   uint64_t method, uint64_t *ret_identity)
{
	return method && method % 8 == 0 &&
	       cprof_vm_field_read(memory, layout->method_const, method, ret_identity) &&
	       *ret_identity && *ret_identity % 8 == 0;
}

/* A Symbol's text, cut to `size` - 1 bytes. */
static bool read_symbol(const struct cprof_vm_layout *layout, const struct cprof_memory *memory,
			uint64_t symbol, char *text, size_t size)
{
	uint64_t length;
	if (layout->symbol_length.bytes) {
		if (!cprof_vm_field_read(memory, layout->symbol_length, symbol, &length))
			return false;
	} else if (cprof_vm_field_read(memory, layout->symbol_length_above, symbol, &length)) {
		length >>= 16;
	} else {
		return false;
	}
	size_t n = length < size - 1 ? (size_t)length : size - 1;
	text[n] = 0;
	return n && memory->read(memory->ctx, symbol + layout->symbol_text.offset, text, n) &&
	       strlen(text) == n;
}

/* The text that number `index` of a constant pool is. */
static bool read_constant(const struct cprof_vm_layout *layout, const struct cprof_memory *memory,
			  uint64_t pool, uint64_t index, char *text, size_t size)
{
	uint64_t symbol;
	return index &&
	       memory->read(memory->ctx, pool + layout->pool_bytes + 8 * index, &symbol,
			    sizeof(symbol)) &&
	       symbol && read_symbol(layout, memory, symbol, text, size);
}

/* "Load$$Lambda+0x00007f5c1c000a00" is "Load$$Lambda"; what may not be in a name makes it none. */
static bool clean(char *text, bool is_class)
{
	for (char *at = text; *at; at++) {
		if (is_class && (strncmp(at, "+0x", 3) == 0 || strncmp(at, "/0x", 3) == 0)) {
			*at = 0;
			break;
		}
		if (*at == '/' && is_class)
			*at = '.';
		else if ((unsigned char)*at < ' ' || strchr(";[/", *at))
			return false;
	}
	return *text != 0;
}

/* The method's name must be followed by a signature: "(I)V". */
static bool has_signature(const struct cprof_vm_layout *layout, const struct cprof_memory *memory,
			  uint64_t pool, uint64_t index)
{
	char text[4];
	return read_constant(layout, memory, pool, index, text, sizeof(text)) && text[0] == '(';
}

bool cprof_method_name(const struct cprof_vm_layout *layout, const struct cprof_memory *memory,
		       uint64_t method, char name[CPROF_METHOD_NAME_MAX])
{
	uint64_t of, pool, name_index, signature_index, holder, class_symbol;
	if (!cprof_method_identity(layout, memory, method, &of) ||
	    !cprof_vm_field_read(memory, layout->const_pool, of, &pool) || !pool || pool % 8 != 0 ||
	    !cprof_vm_field_read(memory, layout->const_name, of, &name_index) ||
	    !cprof_vm_field_read(memory, layout->const_signature, of, &signature_index) ||
	    !has_signature(layout, memory, pool, signature_index) ||
	    !cprof_vm_field_read(memory, layout->pool_holder, pool, &holder) || !holder ||
	    !cprof_vm_field_read(memory, layout->class_name, holder, &class_symbol) ||
	    !class_symbol || !read_symbol(layout, memory, class_symbol, name, CLASS_MAX) ||
	    !clean(name, true))
		return false;
	size_t len = strlen(name);
	name[len] = '.';
	return read_constant(layout, memory, pool, name_index, name + len + 1,
			     CPROF_METHOD_NAME_MAX - len - 1) &&
	       clean(name + len + 1, false);
}
